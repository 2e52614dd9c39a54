/* For the product's owner: how far calls come, how long they last, what people think of them. */

import { Chart } from "./charts.js";
import { bar } from "./parts.js";
import { Component, h } from "./preact.js";
import { get } from "./server.js";
import { count, direction, length, percent, spaced } from "./words.js";

const STEPS = [["invited", "Begun"], ["seen", "A device rang"], ["accepted", "Accepted"], ["connected", "Both heard each other"], ["talked", "Talked ten seconds"]];
const sum = (list) => list.reduce((all, c) => all + c.calls, 0);

export class ProductView extends Component {
  constructor(props) {
    super(props);
    this.state = { told: null, days: "7", way: "", error: "" };
  }

  componentDidMount() {
    this.look("7");
    this.timer = setInterval(() => this.look(this.state.days), 60000);
  }

  componentWillUnmount() {
    clearInterval(this.timer);
  }

  async look(days) {
    this.setState({ days });
    try {
      this.setState({ told: await get("product", { days }), error: "" });
    } catch (error) {
      if (error.status === 401) this.props.onLeft();
      this.setState({ error: error.message });
    }
  }

  render(_, { told, days, way, error }) {
    const controls = h("p", { class: "row" },
      h("label", null, "Of ", h("select", { value: days, onChange: (e) => this.look(e.target.value) }, [["1", "a day"], ["7", "7 days"], ["31", "31 days"], ["92", "92 days"]].map(([v, t]) => h("option", { key: v, value: v }, t)))),
      told && h("label", null, "Way ", h("select", { value: way, onChange: (e) => this.setState({ way: e.target.value }) },
        h("option", { value: "" }, "all"), [...new Set(told.funnel.map((c) => c.what[0]))].map((d) => h("option", { key: d, value: d }, direction(d))))),
      h("span", { class: "error", role: "alert" }, error));
    if (!told) return h("div", null, controls, h("p", { role: "status" }, "Reading…"));
    const ours = (list) => (way ? list.filter((c) => c.what.includes(way)) : list);
    const begun = sum(ours(told.funnel).filter((c) => c.what[1] === "invited"));
    return h("div", null, controls,
      begun === 0 ? h("p", { class: "faint" }, "No call began in this time.") : [
        this.funnel(ours(told.funnel), begun),
        this.days(ours(told.days), told),
        h("div", { class: "columns" },
          share("How calls ended", ours(told.reasons).reduce(by((c) => spaced(c.what[1])), new Map())),
          share("How long people talked", new Map(told.lengths.map((c) => [c.what[0] ? `under ${length(Number(c.what[0]))}` : "an hour and more", c.calls]))),
          share("Scores", ours(told.scores).reduce(by((c) => `${c.what[1]} of 5`), new Map())),
          share("What was wrong", new Map(told.tags.map((c) => [spaced(c.what[0]), c.calls]))),
          share("Callers", ours(told.use).reduce(by((c) => (c.what[1] === "all" ? "who had a call" : "who had more than one")), new Map()), Math.max(1, sum(ours(told.use).filter((c) => c.what[1] === "all"))))),
      ]);
  }

  funnel(list, begun) {
    let before = begun;
    return h("section", { "aria-label": "Funnel" }, h("h2", null, "How far calls come"),
      h("table", { class: "funnel" },
        h("thead", null, h("tr", null, ["Step", "Calls", "Of all", "Lost here"].map((t, i) => h("th", { key: t, scope: "col", class: i % 2 ? "number" : "" }, t)))),
        h("tbody", null, STEPS.map(([step, name]) => {
          const n = sum(list.filter((c) => c.what[1] === step));
          const lost = before - n;
          before = n;
          return h("tr", { key: step }, h("th", { scope: "row" }, name), h("td", { class: "number" }, count(n)),
            h("td", null, h("span", { class: "with-bar" }, percent(n / begun, 0), bar(n / begun))), h("td", { class: "number" }, count(Math.max(0, lost))));
        }))));
  }

  days(list, told) {
    const found = new Map();
    for (const c of list) {
      const was = found.get(c.what[0]) ?? { calls: 0, seconds: 0 };
      found.set(c.what[0], { calls: was.calls + c.calls, seconds: was.seconds + c.seconds });
    }
    const at = [];
    for (let t = told.since; t < told.until + 86400; t += 86400) {
      const day = new Date(Math.min(t, told.until) * 1000).toISOString().slice(0, 10);
      if (at.at(-1) !== day) at.push(day);
      if (!found.has(day)) found.set(day, { calls: 0, seconds: 0 });
    }
    const times = at.map((day) => Date.parse(`${day}T12:00:00Z`) / 1000);
    const minutes = at.map((day) => Math.round(found.get(day).seconds / 60));
    const calls = at.map((day) => found.get(day).calls);
    return h("div", { class: "charts" },
      h(Chart, { title: "Calls a day (UTC)", bars: true, days: true, names: ["calls"], data: [times, calls], summary: at.map((d, i) => `${d} ${calls[i]}`).join(", ") }),
      h(Chart, { title: "Minutes of talk a day (UTC)", bars: true, days: true, names: ["minutes"], data: [times, minutes], summary: at.map((d, i) => `${d} ${minutes[i]}`).join(", ") }));
  }
}

const by = (name) => (found, c) => found.set(name(c), (found.get(name(c)) ?? 0) + c.calls);

function share(title, found, whole) {
  const all = whole ?? [...found.values()].reduce((a, b) => a + b, 0);
  const rows = [...found].filter(([, n]) => n > 0);
  return h("section", { key: title, "aria-label": title }, h("h2", null, title),
    rows.length === 0 ? h("p", { class: "faint" }, "Nothing yet.")
      : h("table", { class: "share" }, h("tbody", null, rows.map(([name, n]) =>
          h("tr", { key: name }, h("th", { scope: "row" }, name), h("td", { class: "number" }, count(n)), h("td", null, h("span", { class: "with-bar" }, percent(n / all, 0), bar(n / all))))))));
}
