/* A call's SIP messages as a ladder: far ends beside the gateway, time downwards. */

import { Component, h } from "./preact.js";
import { millis } from "./words.js";

const ROW = 34;
const TOP = 44;
const WIDTH = 210;

const first = (text) => text.slice(0, text.search(/\r?\n/) + 1 || undefined).trim();
const named = (message) => {
  const line = first(message.text);
  return line.startsWith("SIP/2.0 ") ? line.slice(8) : line.split(" ")[0];
};
const cseq = (message) => /^CSeq[ \t]*:[ \t]*(.+)$/im.exec(message.text)?.[1]?.trim() ?? "";
const hasSdp = (message) => /^(?:Content-Type|c)[ \t]*:[ \t]*application\/sdp/im.test(message.text);

/** Messages `{at, outward, transport, here, there, text}`; a press on one shows it whole. */
export class Ladder extends Component {
  constructor(props) {
    super(props);
    this.state = { chosen: null };
  }

  render({ messages }) {
    const ends = [...new Set(messages.map((m) => m.there))];
    const half = Math.ceil(ends.length / 2);
    const lanes = [...ends.slice(0, half), "", ...ends.slice(half)];
    const x = (end) => (lanes.indexOf(end) + 0.5) * WIDTH;
    const middle = x("");
    const height = TOP + messages.length * ROW + 10;
    const chosen = this.state.chosen === null ? null : messages[this.state.chosen];
    return h("div", { class: "ladder" },
      h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "SIP messages, drawing" },
        h("svg", { width: lanes.length * WIDTH, height, "aria-hidden": "true" },
          lanes.map((end) => h("g", { key: end },
            h("text", { x: x(end), y: 18, class: "end" }, end || "gateway"),
            h("line", { x1: x(end), x2: x(end), y1: 28, y2: height, class: "lane" }))),
          messages.map((m, i) => {
            const y = TOP + i * ROW + 14;
            const [from, to] = m.outward ? [middle, x(m.there)] : [x(m.there), middle];
            const tip = to > from ? to - 7 : to + 7;
            return h("g", { key: i, class: i === this.state.chosen ? "arrow chosen" : "arrow", onClick: () => this.setState({ chosen: i }) },
              h("rect", { x: Math.min(from, to), y: y - 20, width: Math.abs(to - from), height: ROW - 6, class: "touch" }),
              h("text", { x: (from + to) / 2, y: y - 5 }, named(m) + (hasSdp(m) ? " · SDP" : "")),
              h("line", { x1: from, x2: tip, y1: y, y2: y, class: "shaft" }),
              h("path", { d: `M${to} ${y}L${tip} ${y - 5}L${tip} ${y + 5}z` }));
          }))),
      h("ol", { class: "messages", "aria-label": "SIP messages" }, messages.map((m, i) =>
        h("li", { key: i },
          h("button", { type: "button", "aria-pressed": String(i === this.state.chosen), onClick: () => this.setState({ chosen: i === this.state.chosen ? null : i }) },
            h("time", null, millis(m.at)), " ", m.outward ? "to" : "from", ` ${m.there} ${m.transport}: `, h("b", null, named(m)), ` (${cseq(m)})`)))),
      chosen && h("pre", { class: "message", tabindex: "0", "aria-label": `The message ${named(chosen)}` }, chosen.text));
  }
}
