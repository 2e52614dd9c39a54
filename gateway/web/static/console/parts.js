/* Pieces that several views are made of. */

import { Component, h } from "./preact.js";

export const button = (text, onClick, attributes = {}) =>
  h("button", { type: "button", onClick, ...attributes }, text);

export const tile = (name, value, note) =>
  h("div", { class: "tile" }, h("dt", null, name), h("dd", null, h("strong", null, value), note && h("span", null, note)));

export const bar = (share, kind = "") =>
  h("span", { class: `bar ${kind}`, "aria-hidden": "true" }, h("i", { style: { width: `${Math.min(100, share * 100)}%` } }));

export const badge = (text, kind = "") => h("span", { class: `badge ${kind}` }, text);

const STEP = 100;

/**
 * Rows in columns `{key, name, of(row), show?(row), number?}`, sorted by a press on a column's
 * name.  `of` is what is sorted and searched by, `show` what stands there.
 */
export class Table extends Component {
  constructor(props) {
    super(props);
    this.state = { by: props.by ?? props.columns[0].key, down: props.down ?? false, search: "", most: STEP };
  }

  sort(key) {
    this.setState(({ by, down }) => ({ by: key, down: by === key ? !down : false }));
  }

  rows() {
    const { rows, columns, search: searchable } = this.props;
    const { by, down, search } = this.state;
    const wanted = search.trim().toLowerCase();
    const found = searchable && wanted
      ? rows.filter((row) => columns.some((c) => String(c.of(row) ?? "").toLowerCase().includes(wanted)))
      : [...rows];
    const column = columns.find((c) => c.key === by) ?? columns[0];
    const order = (a, b) => {
      const [x, y] = [column.of(a) ?? "", column.of(b) ?? ""];
      if (x === y) return a.id < b.id ? -1 : 1;
      return x < y ? -1 : 1;
    };
    found.sort(down ? (a, b) => order(b, a) : order);
    return found;
  }

  render({ caption, columns, rows, search, nothing = "None." }) {
    const found = this.rows();
    const { by, down, most } = this.state;
    return h("section", { class: "listing", "aria-label": caption },
      h("header", null,
        h("h2", null, caption, " ", h("small", null, found.length === rows.length ? rows.length : `${found.length} of ${rows.length}`)),
        search && h("input", {
          type: "search",
          placeholder: search,
          "aria-label": search,
          value: this.state.search,
          onInput: (event) => this.setState({ search: event.target.value }),
        })),
      found.length === 0
        ? h("p", { class: "faint" }, nothing)
        : h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${caption}, table` },
            h("table", null,
              h("thead", null, h("tr", null, columns.map((c) =>
                h("th", { key: c.key, scope: "col", class: c.number ? "number" : "", "aria-sort": by === c.key ? (down ? "descending" : "ascending") : "none" },
                  button(c.name, () => this.sort(c.key)))))),
              h("tbody", null, found.slice(0, most).map((row) =>
                h(Row, { key: row.id, row, columns, again: this.props.again })))),
            found.length > most && h("p", { class: "row" }, h("span", { class: "faint" }, `The first ${most} are shown.`), button(`Show ${STEP} more`, () => this.setState({ most: most + STEP }), { class: "small" }))));
  }
}

/** Made anew where its row is another object, or `again` (what else its cells show) has changed. */
class Row extends Component {
  shouldComponentUpdate(next) {
    return next.row !== this.props.row || next.columns !== this.props.columns || next.again !== this.props.again;
  }

  render({ row, columns }) {
    return h("tr", null, columns.map((c) => {
      const shown = c.show ? c.show(row) : c.of(row);
      return h(c.head ? "th" : "td", { key: c.key, scope: c.head ? "row" : undefined, class: c.number ? "number" : "" }, shown);
    }));
  }
}

/** Asks before something is done that cannot be undone. */
export class Confirm extends Component {
  componentDidMount() {
    this.dialog.showModal();
  }

  render({ title, children, yes, onYes, onNo }) {
    return h("dialog", { ref: (e) => { this.dialog = e; }, "aria-labelledby": "confirm-title", onCancel: (e) => { e.preventDefault(); onNo(); } },
      h("form", { method: "dialog", onSubmit: (e) => { e.preventDefault(); onYes(new FormData(e.target)); } },
        h("h2", { id: "confirm-title" }, title),
        children,
        h("div", { class: "row" }, button("Cancel", onNo), h("button", { class: "danger" }, yes))));
  }
}
