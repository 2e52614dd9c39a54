/* The operator's console: who is signed in, which view is shown, what is just now. */

import { CallView } from "./call-view.js";
import { CallsView } from "./calls-view.js";
import { Live } from "./live.js";
import { NowView } from "./now-view.js";
import { button } from "./parts.js";
import { Component, h, render } from "./preact.js";
import { ProductView } from "./product-view.js";
import { AuditView, SafetyView } from "./safety-view.js";
import { get, post } from "./server.js";

const VIEWS = { now: ["Now", NowView], calls: ["Calls", CallsView], product: ["Product", ProductView], safety: ["Safety", SafetyView], audit: ["Audit", AuditView] };

const place = () => {
  const [name, id] = location.hash.replace(/^#\//, "").split("/");
  return name === "call" && id ? { name, id: decodeURIComponent(id) } : { name: VIEWS[name] ? name : "now" };
};

class SignIn extends Component {
  constructor(props) {
    super(props);
    this.state = { error: "", busy: false };
  }

  async send(event) {
    event.preventDefault();
    const fields = new FormData(event.target);
    this.setState({ busy: true, error: "" });
    try {
      await post("login", { name: fields.get("name"), password: fields.get("password") });
      const me = await get("session");
      if (!me.name) throw new Error("Your browser did not keep the session. The console needs HTTPS, or this very machine.");
      this.props.onIn(me);
    } catch (error) {
      this.setState({ error: error.message, busy: false });
    }
  }

  render(_, { error, busy }) {
    return h("main", { class: "sign-in" },
      h("form", { onSubmit: (event) => this.send(event) },
        h("h1", null, "Console"),
        h("label", { class: "block" }, "Name", h("input", { name: "name", autocomplete: "username", required: true, autofocus: true, maxlength: 64 })),
        h("label", { class: "block" }, "Password", h("input", { name: "password", type: "password", autocomplete: "current-password", required: true, maxlength: 256 })),
        h("button", { disabled: busy }, busy ? "One moment…" : "Sign in"),
        h("p", { class: "error", role: "alert" }, error)));
  }
}

class Console extends Component {
  constructor(props) {
    super(props);
    this.state = { me: undefined, at: place(), tick: 0, lost: "" };
    this.live = new Live(
      () => this.setState({ tick: this.live.at, lost: "" }),
      (error) => (error.status === 401 ? this.left() : this.setState({ lost: error.message })),
    );
    this.left = this.left.bind(this);
  }

  componentDidMount() {
    addEventListener("hashchange", () => this.setState({ at: place() }));
    get("session").then((me) => (me.name ? this.enter(me) : this.left()), () => this.left());
  }

  enter(me) {
    this.setState({ me });
    this.live.start();
  }

  left() {
    this.live.stop();
    this.setState({ me: null });
  }

  async signOut() {
    this.live.stop();
    await post("logout").catch(() => {});
    this.left();
  }

  render(_, { me, at, lost }) {
    if (me === undefined) return h("main", { class: "sign-in" }, h("p", { role: "status" }, "One moment…"));
    if (me === null) return h(SignIn, { onIn: (who) => this.enter(who) });
    const View = at.name === "call" ? CallView : VIEWS[at.name][1];
    return h("div", { class: "console" },
      h("header", { class: "top" },
        h("h1", null, "Console"),
        h("nav", { "aria-label": "Views" }, Object.entries(VIEWS).map(([name, [text]]) =>
          h("a", { key: name, href: `#/${name}`, "aria-current": at.name === name ? "page" : undefined }, text))),
        h("span", { class: "me" }, `${me.name}, ${me.role} `, button("Sign out", () => this.signOut(), { class: "small" }))),
      h("p", { class: "lost", role: "alert", hidden: !lost }, lost && `${lost} What is shown may be old.`),
      h("main", { id: "view" }, h(View, { key: at.name + (at.id ?? ""), id: at.id, me, live: this.live, onLeft: this.left })));
  }
}

render(h(Console), document.getElementById("root"));
