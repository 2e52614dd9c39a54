/* Charts by uPlot, which is loaded when the first one is drawn. */

import { Component, h } from "./preact.js";

let library = null;

function loaded() {
  if (!library) {
    const sheet = document.createElement("link");
    sheet.rel = "stylesheet";
    sheet.href = "/console/uplot.css";
    document.head.append(sheet);
    library = import("./uplot.js").then((module) => module.default);
  }
  return library;
}

const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const COLOURS = ["--accent", "--go-text", "--warn", "--stop"];

/** `data` as uPlot has it, `names` of its lines; `summary` says in words what is to be seen. */
export class Chart extends Component {
  componentDidMount() {
    this.scheme = matchMedia("(prefers-color-scheme: dark)");
    this.again = () => this.draw();
    this.scheme.addEventListener("change", this.again);
    this.watch = new ResizeObserver(() => this.plot?.setSize({ width: this.box.clientWidth, height: this.props.height ?? 180 }));
    this.watch.observe(this.box);
    this.draw();
  }

  componentDidUpdate(before) {
    if (before.data === this.props.data) return;
    if (this.plot && this.plot.series.length === this.props.data.length) this.plot.setData(this.props.data);
    else this.draw();
  }

  componentWillUnmount() {
    this.gone = true;
    this.scheme.removeEventListener("change", this.again);
    this.watch.disconnect();
    this.plot?.destroy();
  }

  async draw() {
    const Plot = await loaded();
    if (this.gone) return;
    this.plot?.destroy();
    const { data, names, unit = "", range, height = 180, bars = false, days } = this.props;
    const axis = { stroke: ink("--faint"), grid: { stroke: ink("--line"), width: 1 }, ticks: { stroke: ink("--line") } };
    this.plot = new Plot({
      width: this.box.clientWidth,
      height,
      scales: { x: { time: true, range: (_, from, to) => (days ? [from - 43200, to + 43200] : [from, Math.max(to, from + 60)]) }, y: range ? { range } : {} },
      axes: [days ? { ...axis, incrs: [1, 2, 7, 14, 28].map((n) => n * 86400), values: (_, ticks) => ticks.map((t) => new Date(t * 1000).toISOString().slice(5, 10)) } : axis,
        { ...axis, size: 56, values: (_, ticks) => ticks.map((t) => `${t}${unit}`) }],
      series: [{}, ...names.map((label, i) => ({
        label,
        stroke: ink(COLOURS[i % COLOURS.length]),
        fill: bars ? ink(COLOURS[i % COLOURS.length]) : undefined,
        width: 2,
        points: { show: data[0].length < 40 && !bars },
        paths: bars ? Plot.paths.bars({ size: [0.6, 60] }) : undefined,
      }))],
    }, data, this.box);
  }

  render({ title, summary }) {
    return h("figure", { class: "chart" },
      h("figcaption", null, title),
      h("div", { ref: (e) => { this.box = e; }, role: "img", "aria-label": `${title}: ${summary}` }));
  }
}
