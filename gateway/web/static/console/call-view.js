/* One call: what happened when, who decided, its SIP, how it sounded. */

import { Chart } from "./charts.js";
import { Ladder } from "./ladder.js";
import { codecs, reasons } from "./now-view.js";
import { badge, button, Confirm, Table } from "./parts.js";
import { Component, h } from "./preact.js";
import { get, post } from "./server.js";
import { direction, figure, length, millis, percent, spaced, when, who } from "./words.js";

const AGAIN_MS = 3000;
const APART = new Set(["at", "event", "level"]);

const LEGS = [
  { key: "leg", name: "Leg", head: true, of: (r) => r.leg },
  { key: "side", name: "Side", of: (r) => r.side },
  { key: "kind", name: "Kind", of: (r) => r.kind },
  { key: "codec", name: "Codec", of: (r) => r.codec },
  { key: "secure", name: "Encrypted", of: (r) => (r.secure ? "yes" : "no") },
  { key: "mos", name: "MOS heard", number: true, of: (r) => r.mos, show: (r) => figure(r.mos, 2) },
  { key: "mos_sent", name: "MOS sent", number: true, of: (r) => r.mos_sent, show: (r) => figure(r.mos_sent, 2) },
  { key: "jitter", name: "Jitter ms", number: true, of: (r) => r.jitter, show: (r) => figure(r.jitter) },
  { key: "loss", name: "Loss", number: true, of: (r) => r.loss, show: (r) => percent(r.loss) },
  { key: "rtt", name: "Round trip ms", number: true, of: (r) => r.rtt, show: (r) => figure(r.rtt) },
  { key: "packets", name: "Packets in / out", of: (r) => r.received, show: (r) => `${r.received} / ${r.sent}` },
];

export class CallView extends Component {
  constructor(props) {
    super(props);
    this.state = { told: null, error: "", asking: false };
  }

  componentDidMount() {
    this.look();
  }

  componentDidUpdate(before) {
    if (before.id !== this.props.id) {
      this.setState({ told: null });
      this.look();
    }
  }

  componentWillUnmount() {
    this.gone = true;
    clearTimeout(this.timer);
  }

  async look() {
    clearTimeout(this.timer);
    const id = this.props.id;
    try {
      const told = await get(`calls/${encodeURIComponent(id)}`);
      if (this.gone || id !== this.props.id) return;
      this.setState({ told, error: "" });
      if (told.live) this.timer = setTimeout(() => this.look(), AGAIN_MS);
    } catch (error) {
      if (error.status === 401) this.props.onLeft();
      this.setState({ error: error.message });
    }
  }

  async end(fields) {
    this.setState({ asking: false });
    try {
      await post(`calls/${this.props.id}/end`, { reason: fields.get("reason") });
    } catch (error) {
      this.setState({ error: error.message });
    }
    this.look();
  }

  render({ id, me }, { told, error, asking }) {
    if (!told) return h("p", { role: "status" }, error || "Reading…");
    const { record, live, messages, samples } = told;
    return h("article", { class: "call" },
      h("h2", null, "Call ", h("code", null, id), " ", live ? badge(live.state, "good") : badge(spaced(record.reason ?? "over"))),
      h("p", { class: "error", role: "alert" }, error),
      h("dl", { class: "facts" }, facts(record, live).map(([name, value]) => [h("dt", null, name), h("dd", null, value)])),
      h("p", { class: "row" },
        live && me.role === "operator" && button("End this call", () => this.setState({ asking: true }), { class: "danger" }),
        messages.length > 0 && h("a", { class: "button", href: `/console/api/calls/${id}/sip.pcap`, download: "" }, "Download pcap"),
        messages.length > 0 && h("a", { class: "button", href: `/console/api/calls/${id}/sip.txt`, download: "" }, "Download text")),
      live && h(Table, { caption: "Legs", columns: LEGS, rows: live.legs.map((leg) => ({ id: leg.leg, ...leg })) }),
      h(Timeline, { told }),
      h("section", { "aria-label": "Quality" }, h("h2", null, "Quality"),
        Object.keys(samples).length === 0 ? h("p", { class: "faint" }, "Nothing was measured.") : Object.entries(samples).map(([leg, list]) => h(Quality, { key: leg, leg, list }))),
      h("section", { "aria-label": "SIP" }, h("h2", null, "SIP"),
        messages.length === 0
          ? h("p", { class: "faint" }, told.kept ? "None of its legs is a SIP leg." : "It is kept of the newest calls only.")
          : h(Ladder, { messages })),
      asking && h(Confirm, { title: "End this call?", yes: "End the call", onNo: () => this.setState({ asking: false }), onYes: (fields) => this.end(fields) }, reasons()));
  }
}

function facts(r, live) {
  return [
    ["From", who(r.caller, r.caller_name)],
    ["To", who(r.callee, r.callee_name)],
    ["Way", direction(r.direction)],
    ["Decided by", r.rule === "allowed" ? "no rule objected" : spaced(r.rule ?? "")],
    ["Route", [live?.in && `came by ${live.in}`, live?.out && `goes by ${live.out}`].filter(Boolean).join(", ") || "see the timeline"],
    ["Began", when(r.created)],
    ["Length", r.connected ? (r.ended ? length(r.duration) : `since ${when(r.connected)}`) : "never connected"],
    ["Codecs", live ? codecs(live.legs) : [r.caller_codec, r.callee_codec].filter(Boolean).join(" / ")],
    ["Ended", r.ended ? `${spaced(r.reason)}, by the ${r.ended_by}` : ""],
    ["Group", r.group ? h("a", { href: `#/call/${r.group}` }, r.group) : ""],
  ].filter(([, value]) => value);
}

/** The record's own moments, what the log says, and changes of a group, in order. */
function Timeline({ told }) {
  const r = told.record;
  const moments = [
    [r.created, "began", `verdict: ${spaced(r.rule ?? "")}`],
    [r.ringing, "rings", ""],
    [r.caller_accepted?.at, "caller accepts", spaced(r.caller_accepted?.means)],
    [r.callee_accepted?.at, "callee accepts", `${spaced(r.callee_accepted?.means)} by ${r.callee_accepted?.by}`],
    [r.connected, "connected: both hear each other", ""],
    ...r.changes.map((c) => [c.at, `group: ${spaced(c.what)}${c.on ? "" : " ends"}`, [c.by, c.to].filter(Boolean).join(" → ")]),
    [r.ended, "ended", `${spaced(r.reason)} by ${r.ended_by}`],
  ].filter(([at]) => at).map(([at, what, more]) => ({ at, what, more, kind: "moment" }));
  const notes = told.notes.map((note) => ({
    at: note.at,
    what: spaced(note.event),
    kind: note.level,
    more: Object.entries(note).filter(([k, v]) => !APART.has(k) && String(v) !== "").map(([k, v]) => `${k} ${Array.isArray(v) ? v.join("; ") : v}`).join(" · "),
  }));
  const all = [...moments, ...notes].sort((a, b) => a.at - b.at);
  return h("section", { "aria-label": "Timeline" }, h("h2", null, "Timeline"),
    h("ol", { class: "timeline" }, all.map((e, i) =>
      h("li", { key: i, class: e.kind }, h("time", null, millis(e.at)), h("span", null, h("b", null, e.what), " ", e.more)))),
    told.dropped > 0 && h("p", { class: "faint" }, `${told.dropped} older entries are not kept.`));
}

class Quality extends Component {
  shouldComponentUpdate(next) {
    return next.list.length !== this.props.list.length;
  }

  render({ leg, list }) {
    const of = (key, by = 1) => list.map((s) => (s[key] === null ? null : s[key] * by));
    const at = of("at");
    const low = Math.min(...of("mos"));
    const last = list.at(-1);
    return h("div", { class: "charts" },
      h(Chart, { title: `${leg}: mean opinion score`, names: ["heard from it", "as it hears"], data: [at, of("mos"), of("mos_sent")], range: [1, 4.6], summary: `lowest ${figure(low, 2)}, now ${figure(last.mos, 2)}` }),
      h(Chart, { title: `${leg}: jitter and round trip`, unit: " ms", names: ["jitter", "round trip"], data: [at, of("jitter"), of("rtt")], summary: `jitter now ${figure(last.jitter)} ms` }),
      h(Chart, { title: `${leg}: loss`, unit: " %", names: ["from it", "to it"], data: [at, of("loss", 100), of("loss_sent", 100)], range: [0, Math.max(5, ...of("loss", 100), ...of("loss_sent", 100))], summary: `now ${percent(last.loss)}` }));
  }
}
