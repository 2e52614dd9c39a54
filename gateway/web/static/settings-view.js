/* Settings: who may call, when it is quiet, PINs for telephones, passes, blocks. */

import { $, make } from "./dom.js";
import { addressOf, plain } from "./addresses.js";
import { errorText, when } from "./words.js";

const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const DAY_NAMES = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

export class SettingsView extends EventTarget {
  #client = null;
  #settings = null;
  #domain = "";

  async open(client, domain) {
    this.#client = client;
    this.#domain = domain;
    const body = $("settings-body");
    try {
      this.#settings = await client.request("settings.get");
    } catch (error) {
      body.replaceChildren(make("p", { className: "error", role: "alert", text: errorText(error) }));
      return;
    }
    const out = make("button", { id: "logout-button", type: "button", className: "quiet", text: "Sign out" });
    out.addEventListener("click", () => this.dispatchEvent(new Event("logout")));
    const sections = [this.#calls(), this.#quiet(), this.#pins(), this.#passes(), this.#blocks()];
    body.replaceChildren(...sections, out);
  }

  #section(title, text, ...children) {
    const id = `settings-${title.toLowerCase().replace(/\W+/g, "-")}`;
    const said = make("p", { role: "status" });
    const section = make("section", { "aria-labelledby": id });
    section.append(make("h3", { text: title, id }), ...(text ? [make("p", { text })] : []), ...children, said);
    const tell = (words, failed = false) => {
      said.className = failed ? "error" : "saved";
      said.textContent = words;
    };
    return { section, tell };
  }

  async #set(tell, changes) {
    try {
      this.#settings = await this.#client.request("settings.set", changes);
      tell("Saved");
    } catch (error) {
      tell(problems(error), true);
    }
  }

  // -- who may call

  #calls() {
    const now = this.#settings;
    const from = choice("set-allow-from", [
      ["everyone", "Everyone"],
      ["contacts", "My contacts"],
      ["nobody", "Nobody"],
    ], now.allow_from);
    const phone = tick("set-allow-phone", now.allow_phone);
    const busy = tick("set-do-not-disturb", now.do_not_disturb);
    const ring = make("input", { id: "set-ring", type: "number", min: "10", max: "60", value: String(now.ring_seconds) });
    const { section, tell } = this.#section(
      "Calls",
      "",
      row("Who may call me", from),
      row("Calls from telephones", phone),
      row("Do not disturb", busy),
      row("Ring for so many seconds", ring),
    );
    from.addEventListener("change", () => this.#set(tell, { allow_from: from.value }));
    phone.addEventListener("change", () => this.#set(tell, { allow_phone: phone.checked }));
    busy.addEventListener("change", () => this.#set(tell, { do_not_disturb: busy.checked }));
    ring.addEventListener("change", () => this.#set(tell, { ring_seconds: Number(ring.value) }));
    return section;
  }

  // -- quiet hours

  #quiet() {
    const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const zones = Intl.supportedValuesOf("timeZone");
    const all = [...new Set(["UTC", here, this.#settings.timezone, ...zones])].filter(Boolean).sort();
    const zone = choice("set-timezone", all.map((z) => [z, z.replaceAll("_", " ")]), this.#settings.timezone);
    const through = tick("set-breakthrough", this.#settings.quiet_breakthrough === "favourites");
    const list = make("ul", { className: "rows" });
    const add = make("button", { type: "button", id: "quiet-add", className: "quiet", text: "Add quiet hours" });
    const { section, tell } = this.#section(
      "Quiet hours",
      "Calls do not ring in these hours; they are in your history.",
      list,
      add,
      row("Time zone", zone),
      row("Favourites may ring all the same", through),
    );
    const hours = this.#settings.quiet_hours.map((h) => ({ days: [...(h.days ?? DAYS)], from: h.from, to: h.to }));
    const save = () => this.#set(tell, { quiet_hours: hours });
    const draw = () => list.replaceChildren(...hours.map((h, i) => period(h, i)));
    const period = (h, i) => {
      const from = make("input", { type: "time", value: h.from, "aria-label": "From" });
      const to = make("input", { type: "time", value: h.to === "24:00" ? "00:00" : h.to, "aria-label": "To" });
      from.addEventListener("change", () => ((h.from = from.value), save()));
      to.addEventListener("change", () => ((h.to = to.value === "00:00" ? "24:00" : to.value), save()));
      const days = make("div", { className: "days", role: "group", "aria-label": "Days" });
      for (const [n, day] of DAYS.entries()) {
        const on = make("button", { type: "button", text: DAY_NAMES[n][0], "aria-label": DAY_NAMES[n] });
        on.setAttribute("aria-pressed", String(h.days.includes(day)));
        on.addEventListener("click", () => {
          const others = h.days.filter((d) => d !== day);
          if (others.length === 0) return;
          h.days = h.days.includes(day) ? others : DAYS.filter((d) => [...h.days, day].includes(d));
          on.setAttribute("aria-pressed", String(h.days.includes(day)));
          save();
        });
        days.append(on);
      }
      const gone = make("button", { type: "button", className: "quiet", text: "Remove" });
      gone.addEventListener("click", () => {
        hours.splice(i, 1);
        draw();
        save();
        add.focus();
      });
      return make("li", { children: [from, make("span", { text: "to" }), to, days, gone] });
    };
    add.addEventListener("click", () => {
      hours.push({ days: [...DAYS], from: "22:00", to: "07:00" });
      draw();
      save();
      list.lastElementChild.querySelector("input").focus();
    });
    zone.addEventListener("change", () => this.#set(tell, { timezone: zone.value }));
    through.addEventListener("change", () => {
      this.#set(tell, { quiet_breakthrough: through.checked ? "favourites" : "nobody" });
    });
    draw();
    return section;
  }

  // -- PINs

  #pins() {
    const list = make("ul", { className: "rows", id: "pin-list" });
    const shown = make("output", { className: "secret", "aria-label": "The new PIN" });
    const label = make("input", { placeholder: "For whom?", maxlength: "100", "aria-label": "For whom is the PIN?" });
    const kind = choice("pin-kind", [["once", "For one call"], ["standing", "Until I revoke it"]], "once", "Kind of PIN");
    const make_ = make("button", { type: "submit", id: "pin-create", className: "quiet", text: "Make a PIN" });
    const form = make("form", { className: "form", children: [label, kind, make_] });
    const { section, tell } = this.#section(
      "PINs",
      "Who calls the gateway's number and enters a PIN rings here. Neither of you learns a number.",
      list,
      form,
      shown,
    );
    const load = () => this.#list(list, tell, "pin.list", {}, "pins", (pin) => {
      const uses = pin.kind === "once" ? "for one call" : `used ${pin.uses} times`;
      return [`${pin.label || "No name"} · ${uses} · ${when(pin.created)}`, ["pin.revoke", { id: pin.id }]];
    }, "No PIN yet");
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        const made = await this.#client.request("pin.create", { kind: kind.value, label: label.value.trim() });
        shown.textContent = halved(made.pin);
        tell("Note it down: it is shown this once");
        label.value = "";
        await load();
      } catch (error) {
        tell(problems(error), true);
      }
    });
    load();
    return section;
  }

  // -- passes

  #passes() {
    const list = make("ul", { className: "rows", id: "pass-list" });
    const to = make("input", { placeholder: "Name", "aria-label": "Who gets the pass?", autocapitalize: "none" });
    const calls = make("input", { type: "number", min: "1", max: "1000", value: "1", "aria-label": "How many calls?" });
    const grant = make("button", { type: "submit", id: "pass-grant", className: "quiet", text: "Give calls" });
    const form = make("form", { className: "form", children: [to, calls, grant] });
    const { section, tell } = this.#section(
      "Passes",
      "A pass lets a follower call you although others may not.",
      list,
      form,
    );
    const load = () => this.#list(list, tell, "pass.list", { as: "creator" }, "passes", (pass) => {
      const left = pass.calls_left ?? pass.minutes_left;
      const what = left === undefined ? pass.kind : `${left} ${pass.kind}`;
      return [`${plain(pass.follower)} · ${what}`, ["pass.revoke", { id: pass.id }]];
    }, "No pass given");
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const address = addressOf(to.value.trim(), this.#domain);
      try {
        await this.#client.request("pass.grant", { to: address ?? "", kind: "calls", calls: Number(calls.value) });
        tell("Given");
        to.value = "";
        await load();
      } catch (error) {
        tell(problems(error), true);
      }
    });
    load();
    return section;
  }

  // -- blocks

  #blocks() {
    const list = make("ul", { className: "rows", id: "block-list" });
    const { section, tell } = this.#section("Blocked", "They cannot call you, and are not told why.", list);
    this.#list(list, tell, "blocks.list", {}, "blocks", (who) => {
      const address = who.who ?? who.address ?? who;
      return [plain(address), ["blocks.remove", { who: address }]];
    }, "Nobody", "Unblock");
    return section;
  }

  /** Rows of a list request, each with a button that takes it back. */
  async #list(list, tell, method, params, member, shown, none, verb = "Revoke") {
    try {
      const found = (await this.#client.request(method, params))[member];
      const rows = found.map((item) => {
        const [text, [undo, which]] = shown(item);
        const button = make("button", { type: "button", className: "quiet", text: verb, "aria-label": `${verb} ${text}` });
        const line = make("li", { children: [make("span", { className: "grow", text }), button] });
        button.addEventListener("click", async () => {
          try {
            await this.#client.request(undo, which);
            line.remove();
            tell("Done");
          } catch (error) {
            tell(problems(error), true);
          }
        });
        return line;
      });
      list.replaceChildren(...(rows.length ? rows : [make("li", { text: none })]));
    } catch (error) {
      tell(problems(error), true);
    }
  }
}

function halved(digits) {
  const half = Math.floor(digits.length / 2);
  return `${digits.slice(0, half)} ${digits.slice(half)}`;
}

function problems(error) {
  const [first] = error.data?.errors ?? [];
  if (first) return `${first.field.replaceAll("_", " ")}: ${first.problem}`;
  return error.code === 4403 ? error.message : errorText(error);
}

function row(text, control) {
  return make("div", {
    className: "setting",
    children: [make("label", { text, for: control.id }), control],
  });
}

function tick(id, checked) {
  const box = make("input", { type: "checkbox", id });
  box.checked = checked;
  return box;
}

function choice(id, options, value, label) {
  const select = make("select", { id, ...(label && { "aria-label": label }) });
  select.append(...options.map(([v, text]) => make("option", { value: v, text })));
  select.value = value;
  return select;
}
