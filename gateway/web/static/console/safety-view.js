/* For those who keep people safe: reports, bans, stopped callers; and who did what here. */

import { badge, button, Confirm, Table } from "./parts.js";
import { Component, h } from "./preact.js";
import { get, post } from "./server.js";
import { spaced, when } from "./words.js";

const AGAIN_MS = 10000;

class Reading extends Component {
  constructor(props) {
    super(props);
    this.state = { told: null, error: "" };
  }

  componentDidMount() {
    this.look();
    this.timer = setInterval(() => this.look(), AGAIN_MS);
  }

  componentWillUnmount() {
    clearInterval(this.timer);
  }

  async look() {
    try {
      const told = await this.read();
      this.setState({ told, error: "" });
    } catch (error) {
      if (error.status === 401) this.props.onLeft();
      this.setState({ error: error.message });
    }
  }
}

export class SafetyView extends Reading {
  constructor(props) {
    super(props);
    this.state = { ...this.state, which: "open", settling: null };
    const acts = props.me.role === "operator";
    const act = (name, of) => (acts ? [{ key: "act", name: "Act", of: () => "", show: of }] : []);
    this.reports = [
      { key: "at", name: "When", head: true, of: (r) => r.at, show: (r) => when(r.at) },
      { key: "category", name: "What", of: (r) => r.category, show: (r) => badge(spaced(r.category), "bad") },
      { key: "about", name: "About", of: (r) => r.about },
      { key: "by", name: "By", of: (r) => r.by },
      { key: "comment", name: "In their words", of: (r) => r.comment },
      { key: "call", name: "Call", of: (r) => r.call, show: (r) => h("a", { href: `#/call/${r.call}` }, r.call.slice(0, 9)) },
      { key: "state", name: "State", of: (r) => r.state, show: (r) => [badge(r.state), r.note && ` ${r.note}`] },
      ...act("act", (r) => [
        button("Uphold", () => this.setState({ settling: [r, "upheld"] }), { class: "small", "aria-label": `Uphold the report about ${r.about}` }), " ",
        button("Dismiss", () => this.setState({ settling: [r, "dismissed"] }), { class: "small", "aria-label": `Dismiss the report about ${r.about}` })]),
    ];
    this.bans = [
      { key: "person", name: "Person", head: true, of: (r) => r.person },
      { key: "since", name: "Since", of: (r) => r.since, show: (r) => when(r.since) },
      { key: "report", name: "Report", of: (r) => r.report },
      ...act("act", (r) => button("Lift", () => this.act("bans/lift", { address: r.person }), { class: "small", "aria-label": `Lift the ban of ${r.person}` })),
    ];
    this.holds = [
      { key: "person", name: "Person", head: true, of: (r) => r.person },
      { key: "rule", name: "What looked like fraud", of: (r) => spaced(r.rule) },
      { key: "since", name: "Since", of: (r) => r.since, show: (r) => when(r.since) },
      { key: "until", name: "Until", of: (r) => r.until, show: (r) => when(r.until) },
      ...act("act", (r) => button("Release", () => this.act("holds/release", { address: r.person }), { class: "small", "aria-label": `Release ${r.person}` })),
    ];
    this.blocked = [
      { key: "who", name: "Who", head: true, of: (r) => r.who },
      { key: "by", name: "Blocked by", number: true, of: (r) => r.by },
    ];
  }

  read() {
    return get("safety", { state: this.state.which });
  }

  async act(path, body) {
    try {
      await post(path, body);
      await this.look();
    } catch (error) {
      this.setState({ error: error.message });
    }
  }

  settle(fields) {
    const [report, state] = this.state.settling;
    this.setState({ settling: null });
    this.act(`reports/${report.id}/settle`, { state, note: fields.get("note"), ban: fields.get("ban") === "on" });
  }

  render(_, { told, error, which, settling }) {
    const rows = (list, id) => (list ?? []).map((row) => ({ ...row, id: row[id] }));
    return h("div", null,
      h("p", { class: "row" },
        h("label", null, "Reports that are ", h("select", { value: which, onChange: (e) => this.setState({ which: e.target.value }, () => this.look()) }, ["open", "upheld", "dismissed"].map((s) => h("option", { key: s, value: s }, s)))),
        h("span", { class: "error", role: "alert" }, error)),
      h(Table, { caption: "Reports", columns: this.reports, rows: rows(told?.reports, "id"), by: "at", down: true, search: "Filter reports", nothing: told ? `No report is ${which}.` : "Reading…" }),
      told?.next && h("p", { class: "faint" }, "There are older ones; settle these first."),
      h(Table, { caption: "Fraud alerts: telephone calls that are stopped", columns: this.holds, rows: rows(told?.holds, "person"), by: "since", down: true, nothing: "Nobody's telephone calls are stopped." }),
      h(Table, { caption: "Bans", columns: this.bans, rows: rows(told?.bans, "person"), by: "since", down: true, nothing: "Nobody is banned." }),
      h(Table, { caption: "Most blocked", columns: this.blocked, rows: rows(told?.blocked, "who"), by: "by", down: true, nothing: "Nobody has blocked anybody." }),
      settling && h(Confirm, { title: settling[1] === "upheld" ? "Uphold this report?" : "Dismiss this report?", yes: settling[1] === "upheld" ? "Uphold" : "Dismiss", onNo: () => this.setState({ settling: null }), onYes: (fields) => this.settle(fields) },
        h("p", null, `About ${settling[0].about}: ${spaced(settling[0].category)}`),
        h("label", { class: "block" }, "Note", h("input", { name: "note", maxlength: 200, autocomplete: "off" })),
        settling[1] === "upheld" && h("label", null, h("input", { type: "checkbox", name: "ban" }), " They may neither call nor be called any more")));
  }
}

const ACTIONS = [
  { key: "at", name: "When", head: true, of: (r) => r.at, show: (r) => when(r.at) },
  { key: "who", name: "Who", of: (r) => r.who },
  { key: "role", name: "As", of: (r) => r.role },
  { key: "source", name: "From", of: (r) => r.source },
  { key: "action", name: "Did", of: (r) => spaced(r.action) },
  { key: "target", name: "To", of: (r) => r.target },
  { key: "outcome", name: "Outcome", of: (r) => r.outcome },
];

export class AuditView extends Reading {
  read() {
    return get("audit");
  }

  async older() {
    const { told } = this.state;
    clearInterval(this.timer);
    const more = await get("audit", { before: told.next });
    this.setState({ told: { actions: [...told.actions, ...more.actions], next: more.next } });
  }

  render(_, { told, error }) {
    const rows = (told?.actions ?? []).map((a) => ({ ...a, id: a.id }));
    return h("div", null, h("p", { class: "error", role: "alert" }, error),
      h(Table, { caption: "What was done here", columns: ACTIONS, rows, by: "at", down: true, search: "Filter actions", nothing: told ? "Nothing yet." : "Reading…" }),
      told?.next && button("Older ones", () => this.older()));
  }
}
