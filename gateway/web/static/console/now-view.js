/* What is just now: calls and legs, workers, trunks, registrations, and the room that is left. */

import { Component, h } from "./preact.js";
import { badge, bar, button, Confirm, Table, tile } from "./parts.js";
import { post } from "./server.js";
import { clock, count, direction, figure, length, percent, spaced, who } from "./words.js";

const worst = (row, key, pick) => {
  const known = row.legs.map((leg) => leg[key]).filter((value) => value !== undefined && value !== null);
  return known.length ? pick(...known) : undefined;
};
export const codecs = (legs) => [...new Set(legs.map((leg) => leg.codec).filter(Boolean))].join(" / ");
const route = (row) => [row.in && `from ${row.in}`, row.out && `by ${row.out}`].filter(Boolean).join(", ");

const STATES = { inviting: "", ringing: "wait", accepted: "wait", connected: "good" };

export class NowView extends Component {
  constructor(props) {
    super(props);
    this.state = { asking: null, error: "" };
    const operator = props.me.role === "operator";
    this.calls = [
      { key: "call", name: "Call", head: true, of: (r) => r.id, show: (r) => h("a", { href: `#/call/${r.id}` }, r.id.slice(0, 9)) },
      { key: "state", name: "State", of: (r) => r.state, show: (r) => badge(r.state, STATES[r.state]) },
      { key: "from", name: "From", of: (r) => who(r.caller, r.caller_name) },
      { key: "to", name: "To", of: (r) => who(r.callee, r.callee_name) },
      { key: "talk", name: "Talk", number: true, of: (r) => (r.connected ? -r.connected : 0), show: (r) => h(Talk, { live: this.props.live, since: r.connected }) },
      { key: "codec", name: "Codecs", of: (r) => codecs(r.legs) },
      { key: "mos", name: "MOS", number: true, of: (r) => worst(r, "mos", Math.min), show: (r) => figure(worst(r, "mos", Math.min), 2) },
      { key: "jitter", name: "Jitter ms", number: true, of: (r) => worst(r, "jitter", Math.max), show: (r) => figure(worst(r, "jitter", Math.max)) },
      { key: "loss", name: "Loss", number: true, of: (r) => worst(r, "loss", Math.max), show: (r) => percent(worst(r, "loss", Math.max)) },
      { key: "route", name: "Route", of: route },
      { key: "way", name: "Way", of: (r) => direction(r.direction) },
      { key: "since", name: "Began", of: (r) => r.created, show: (r) => clock(r.created) },
      { key: "worker", name: "Worker", number: true, of: (r) => r.worker },
      ...(operator ? [{ key: "end", name: "Act", of: () => "", show: (r) => button("End", () => this.setState({ asking: r }), { class: "small", "aria-label": `End call ${r.id}` }) }] : []),
    ];
    this.workers = [
      { key: "id", name: "Worker", head: true, of: (r) => Number(r.id) },
      { key: "pid", name: "Process", number: true, of: (r) => r.pid },
      { key: "state", name: "State", of: (r) => r.state, show: (r) => badge(r.state, r.state === "busy" ? "good" : "") },
      { key: "legs", name: "Legs", of: (r) => r.taken, show: (r) => h("span", { class: "with-bar" }, `${r.taken} of ${r.capacity}`, bar(r.taken / r.capacity)) },
      { key: "cpu", name: "Core", number: true, of: (r) => this.props.live.load.get(r.id), show: (r) => percent(this.props.live.load.get(r.id)) },
      { key: "rss", name: "Memory MB", number: true, of: (r) => r.rss },
      { key: "up", name: "Up", number: true, of: (r) => r.up_s, show: (r) => length(r.up_s) },
    ];
    this.trunks = [
      { key: "id", name: "Trunk", head: true, of: (r) => r.id },
      { key: "address", name: "Address", of: (r) => r.address },
      { key: "health", name: "Health", of: (r) => r.targets.filter((t) => t.doubtful).length, show: (r) => health(r) },
      { key: "registered", name: "Registration", of: (r) => String(r.registered), show: (r) => (r.registered === null ? "not asked for" : badge(r.registered ? "registered" : "not registered", r.registered ? "good" : "bad")) },
      { key: "calls", name: "Calls", of: (r) => r.calls, show: (r) => h("span", { class: "with-bar" }, `${r.calls} of ${r.max_calls}`, bar(r.calls / r.max_calls)) },
    ];
    this.bindings = [
      { key: "account", name: "Account", head: true, of: (r) => r.account },
      { key: "contact", name: "Contact", of: (r) => r.contact },
      { key: "transport", name: "Transport", of: (r) => r.transport },
      { key: "expires", name: "Until", of: (r) => r.expires, show: (r) => clock(r.expires) },
    ];
  }

  async turn(what) {
    try {
      await post(what);
      this.setState({ error: "" });
    } catch (error) {
      this.setState({ error: error.message });
    }
  }

  async end(call, fields) {
    this.setState({ asking: null });
    try {
      await post(`calls/${call.id}/end`, { reason: fields.get("reason") });
      this.setState({ error: "" });
    } catch (error) {
      this.setState({ error: error.message });
    }
  }

  render({ live, me }, { asking, error }) {
    const here = live.here;
    const trunks = live.rows("trunk");
    const bindings = live.rows("binding");
    const workers = live.rows("worker");
    return h("div", null,
      h("dl", { class: "tiles" },
        tile("Calls", count(here.calls), `of ${count(here.max_calls)}`),
        tile("Legs left", count(here.max_legs - here.legs), `of ${count(here.max_legs)}`),
        tile("Workers", count(workers.length), `${workers.filter((w) => w.state === "idle").length} idle`),
        tile("Registrations", count(bindings.length)),
        tile("Trunks", count(trunks.length), trunks.some((t) => t.targets.some((at) => at.doubtful)) ? "some in doubt" : ""),
        tile("State", here.draining ? "draining" : here.not_ready.length ? "not ready" : "ready", here.draining ? "" : here.not_ready.join(", "))),
      me.role === "operator" && h("p", { class: "row" },
        here.draining
          ? button("Take new calls again", () => this.turn("undrain"))
          : button("Drain: take no new calls", () => this.turn("drain")),
        h("span", { class: "error", role: "alert" }, error)),
      h(Table, { caption: "Calls", columns: this.calls, rows: live.rows("call"), search: "Filter calls", by: "since", down: true, nothing: "Nobody is in a call." }),
      h(Table, { caption: "Workers", columns: this.workers, rows: workers, again: live.at }),
      h(Table, { caption: "Trunks", columns: this.trunks, rows: trunks, nothing: "There are no trunks." }),
      h(Table, { caption: "Registrations", columns: this.bindings, rows: bindings, search: "Filter registrations", nothing: "No softphone is registered." }),
      asking && h(Confirm, { title: "End this call?", yes: "End the call", onNo: () => this.setState({ asking: null }), onYes: (fields) => this.end(asking, fields) },
        h("p", null, `${who(asking.caller, asking.caller_name)} and ${who(asking.callee, asking.callee_name)}`), reasons()));
  }
}

export const reasons = () =>
  h("label", null, "They are told ",
    h("select", { name: "reason" }, ["completed", "moderated", "limit_reached"].map((r) => h("option", { key: r, value: r }, spaced(r)))));

function health(row) {
  if (row.targets.length === 0) return "not asked";
  const bad = row.targets.filter((t) => t.doubtful);
  const title = row.targets.map((t) => `${t.at}${t.doubtful ? " (in doubt)" : ""}`).join("\n");
  return h("span", { title }, badge(bad.length ? `${bad.length} of ${row.targets.length} in doubt` : "good", bad.length ? "bad" : "good"));
}

/** Counts by itself, so that its row need not be made anew each second. */
class Talk extends Component {
  componentDidMount() {
    this.timer = setInterval(() => this.setState({}), 1000);
  }

  componentWillUnmount() {
    clearInterval(this.timer);
  }

  render({ live, since }) {
    return since ? length(live.at - since) : "";
  }
}
