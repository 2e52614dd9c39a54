/* Calls that were, newest first. */

import { button, Table } from "./parts.js";
import { Component, h } from "./preact.js";
import { get } from "./server.js";
import { direction, length, spaced, when, who } from "./words.js";

const COLUMNS = [
  { key: "began", name: "Began", head: true, of: (r) => r.created, show: (r) => h("a", { href: `#/call/${r.call}` }, when(r.created)) },
  { key: "from", name: "From", of: (r) => who(r.caller, r.caller_name) },
  { key: "to", name: "To", of: (r) => who(r.callee, r.callee_name) },
  { key: "way", name: "Way", of: (r) => direction(r.direction) },
  { key: "talk", name: "Talk", number: true, of: (r) => r.duration, show: (r) => (r.connected ? length(r.duration) : "") },
  { key: "reason", name: "Ended", of: (r) => (r.ended ? spaced(r.reason) : "going on") },
  { key: "rule", name: "Rule", of: (r) => spaced(r.rule ?? "") },
];

export class CallsView extends Component {
  constructor(props) {
    super(props);
    this.state = { rows: [], next: null, party: "", error: "", read: false };
  }

  componentDidMount() {
    this.look(null);
  }

  async look(before) {
    const party = this.state.party.trim();
    try {
      const told = await get("calls", { before, party });
      const rows = told.calls.map((r) => ({ id: r.call, ...r }));
      this.setState((was) => ({ rows: before ? [...was.rows, ...rows] : rows, next: told.next, error: "", read: true }));
    } catch (error) {
      if (error.status === 401) this.props.onLeft();
      this.setState({ error: error.status === 400 ? "No such address. Right are user:alice, sip:1001@domain, tel:+14155550123." : error.message, read: true });
    }
  }

  render(_, { rows, next, party, error, read }) {
    return h("div", null,
      h("form", { class: "row", role: "search", onSubmit: (e) => { e.preventDefault(); this.look(null); } },
        h("label", null, "With ", h("input", { type: "search", value: party, placeholder: "user:alice", onInput: (e) => this.setState({ party: e.target.value }) })),
        h("button", null, "Search"), h("span", { class: "error", role: "alert" }, error)),
      h(Table, { caption: "Calls that were", columns: COLUMNS, rows, by: "began", down: true, search: "Filter what is shown", nothing: read ? "None." : "Reading…" }),
      next && button("Older ones", () => this.look(next)));
  }
}
