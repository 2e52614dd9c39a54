/* Conversations: who there is, what was written here, which calls there were. */

import { addressOf, plain } from "./addresses.js";
import { $, dress, icon, make } from "./dom.js";
import { askReport } from "./sheets.js";
import { errorText, historyText, when } from "./words.js";

const SECTIONS = [
  ["favourites", "Favourites"],
  ["users", "People"],
  ["softphones", "Softphones"],
  ["services", "Services"],
  ["others", "Others"],
];

export class Threads extends EventTarget {
  #client = null;
  #threads = new Map();
  #domain = "";
  #current = null;
  #blocked = new Set();

  constructor() {
    super();
    $("thread-favourite").addEventListener("click", () => this.#favour());
    $("thread-more").addEventListener("click", () => this.#more());
    $("menu-contact").addEventListener("click", () => this.#contact());
    $("menu-block").addEventListener("click", () => this.#block());
    $("menu-report").addEventListener("click", () => this.#report());
    $("menu-forget").addEventListener("click", () => this.#forget());
    $("thread-back").addEventListener("click", () => this.close());
    $("message-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#write($("message-text").value.trim());
    });
    $("history-more").addEventListener("click", () => this.#load(this.#current, this.#current.next));
    $("address-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#openTyped($("address-input").value.trim());
    });
  }

  get current() {
    return this.#current;
  }

  /** `people`: the answer of /app/dev-users, or nothing. */
  start(client, people) {
    this.#client = client;
    this.#threads.clear();
    this.#domain = people?.domain ?? location.hostname;
    for (const [section] of SECTIONS) {
      for (const { address, name } of people?.[section] ?? []) {
        if (address !== client.user.address) this.#add(section, address, name);
      }
    }
    if (!people) this.#add("services", "service:echo", "Echo");
    client.addEventListener("event", ({ detail }) => {
      if (detail.method === "thread.said") this.#said(detail.params);
    });
    this.#list();
    this.close();
    this.#contacts();
  }

  get domain() {
    return this.#domain;
  }

  /** Who could be called, but for some: [{address, name}]. */
  people(except = []) {
    const all = [...this.#threads.values()].filter((t) => !t.address.startsWith("service:"));
    return all.filter((t) => !except.includes(t.address));
  }

  async #contacts() {
    try {
      const { contacts } = await this.#client.request("contacts.list", {});
      for (const { address, name, favourite } of contacts) {
        const thread = this.#threads.get(address) ?? this.#add("others", address, name || plain(address));
        thread.contact = true;
        thread.favourite = favourite;
      }
      const { blocks } = await this.#client.request("blocks.list", {});
      this.#blocked = new Set(blocks.map((b) => b.who));
    } catch {
      return; // without them the conversations are as they are
    }
    this.#list();
    this.#head();
  }

  #head() {
    const thread = this.#current;
    if (!thread) return;
    const star = $("thread-favourite");
    star.hidden = $("thread-more").hidden = thread.address.startsWith("service:");
    star.setAttribute("aria-pressed", String(Boolean(thread.favourite)));
    const text = thread.address.startsWith("user:");
    $("message-text").disabled = $("message-send").disabled = !text;
    $("message-text").placeholder = text ? "Message" : "Calls only";
  }

  async #favour() {
    const thread = this.#current;
    await this.#ask("contacts.put", { address: thread.address, name: thread.name, favourite: !thread.favourite });
    thread.contact = true;
    thread.favourite = !thread.favourite;
    this.#head();
    this.#list();
  }

  #more() {
    const thread = this.#current;
    const blocked = this.#blocked.has(thread.address);
    $("menu-title").textContent = thread.name;
    $("menu-contact").textContent = thread.contact ? "Remove from contacts" : "Add to contacts";
    $("menu-block").textContent = blocked ? "Unblock" : "Block";
    $("menu-report").disabled = $("menu-forget").disabled = thread.calls.size === 0;
    $("menu-error").textContent = "";
    $("menu").showModal();
  }

  async #contact() {
    const thread = this.#current;
    const { address, name, contact } = thread;
    if (contact) await this.#ask("contacts.remove", { address });
    else await this.#ask("contacts.put", { address, name, favourite: false });
    thread.contact = !contact;
    thread.favourite = false;
    this.#done();
  }

  async #block() {
    const { address } = this.#current;
    if (this.#blocked.has(address)) {
      await this.#ask("blocks.remove", { who: address });
      this.#blocked.delete(address);
    } else {
      await this.#ask("blocks.add", { who: address });
      this.#blocked.add(address);
    }
    this.#done();
  }

  #report() {
    $("menu").close();
    const thread = this.#current;
    const [last] = [...thread.calls.values()].sort((a, b) => b.at - a.at);
    askReport(thread.name, async (category, block) => {
      await this.#client.request("call.report", { call: last.call, category, block });
      if (block) this.#blocked.add(thread.address);
      $("notice").textContent = "Thank you. The report is with the people who look at them.";
    });
  }

  async #forget() {
    const thread = this.#current;
    await this.#ask("history.delete", { calls: [...thread.calls.keys()].slice(0, 100) });
    thread.calls.clear();
    thread.next = undefined;
    this.#done();
    await this.#load(thread);
  }

  /** A request of the menu: what keeps it from being done is said there. */
  async #ask(method, params) {
    try {
      return await this.#client.request(method, params);
    } catch (error) {
      const text = error.code === 4403 ? error.message : errorText(error);
      $($("menu").open ? "menu-error" : "notice").textContent = text;
      throw error;
    }
  }

  #done() {
    $("menu").close();
    this.#head();
    this.#list();
    this.#draw();
  }

  nameOf(address) {
    return this.#threads.get(address)?.name;
  }

  open(address, name) {
    const thread = this.#threads.get(address) ?? this.#add("others", address, name ?? plain(address));
    this.#current = thread;
    thread.unread = 0;
    $("thread-name").textContent = thread.name;
    $("thread-address").textContent = plain(address);
    dress($("thread-avatar"), thread.name, address);
    $("thread-open").hidden = false;
    $("thread-none").hidden = true;
    $("shell").classList.add("in-thread");
    $("call-button").setAttribute("aria-label", `Call ${thread.name}`);
    $("notice").textContent = "";
    this.dispatchEvent(new Event("open"));
    this.#head();
    this.#list();
    this.#draw();
    this.#load(thread);
    this.#texts(thread);
    // on a telephone the keyboard would cover what is to be read
    const first = matchMedia("(min-width: 720px)").matches ? "message-text" : "thread-name";
    $(first).focus({ preventScroll: true });
  }

  close() {
    const last = this.#current?.address;
    this.#current = null;
    $("thread-open").hidden = true;
    $("thread-none").hidden = false;
    $("shell").classList.remove("in-thread");
    if (last) document.querySelector(`[data-thread="${CSS.escape(last)}"]`)?.focus();
    this.#list();
  }

  /** A call with somebody began or ended: their history is different now. */
  changed(address, name) {
    const thread = this.#threads.get(address) ?? this.#add("others", address, name ?? plain(address));
    if (thread === this.#current) this.#load(thread);
    this.#list();
  }

  /** The history of the open conversation, as it is now. */
  refresh() {
    this.#load(this.#current);
  }

  missed(address) {
    const thread = this.#threads.get(address);
    if (thread && thread !== this.#current) {
      thread.unread += 1;
      this.#list();
    }
  }

  #add(section, address, name) {
    const thread = { section, address, name, messages: [], calls: new Map(), next: undefined, unread: 0 };
    this.#threads.set(address, thread);
    return thread;
  }

  #write(text) {
    if (!text || !this.#current) return;
    $("message-text").value = "";
    this.say(this.#current.address, text);
  }

  /** Send a message to somebody in the app. */
  async say(address, text) {
    const thread = this.#threads.get(address) ?? this.#add("others", address, plain(address));
    const message = { at: Date.now() / 1000, text };
    thread.messages.push(message);
    if (thread === this.#current) this.#draw();
    try {
      await this.#client.request("thread.say", { to: address, text });
    } catch {
      message.failed = true; // also where the gateway brings no messages: an app has its own
      if (thread === this.#current) this.#draw();
    }
  }

  #said({ by, to, text, at }) {
    const mine = by === this.#client.user.address;
    const address = mine ? to : by;
    const thread = this.#threads.get(address) ?? this.#add("others", address, plain(address));
    thread.messages.push({ at, text, theirs: !mine });
    if (thread === this.#current) this.#draw();
    else if (!mine) {
      thread.unread += 1;
      this.#list();
    }
  }

  async #texts(thread) {
    if (thread.read || !thread.address.startsWith("user:")) return;
    thread.read = true;
    try {
      const { texts } = await this.#client.request("thread.list", { with: thread.address });
      const mine = this.#client.user.address;
      thread.messages = texts.map(({ by, text, at }) => ({ at, text, theirs: by !== mine }));
    } catch {
      return;
    }
    if (thread === this.#current) this.#draw();
  }

  #openTyped(text) {
    const address = addressOf(text, this.#domain);
    $("address-error").textContent = address ? "" : "Write a name, 1001, +4930123456 or sip:1001@example.org";
    if (!address) return;
    $("address-input").value = "";
    this.open(address);
  }

  async #load(thread, before = null) {
    if (!thread) return;
    const params = { with: thread.address, limit: 30, ...(before && { before }) };
    try {
      const page = await this.#client.request("history.list", params);
      for (const item of page.calls) thread.calls.set(item.call, item);
      if (before || thread.next === undefined) thread.next = page.next ?? null;
    } catch {
      return; // the calls that are shown already stay
    }
    if (thread === this.#current) this.#draw(Boolean(before));
  }

  #list() {
    const sections = SECTIONS.map(([section, title]) => {
      const shown = (t) => (t.favourite ? "favourites" : t.section) === section;
      const threads = [...this.#threads.values()].filter(shown);
      if (!threads.length) return null;
      const heading = make("h2", { text: title });
      return make("section", { children: [heading, ...threads.map((t) => this.#entry(t))] });
    });
    const focused = document.activeElement?.dataset?.thread;
    $("thread-list").replaceChildren(...sections.filter(Boolean));
    if (focused) document.querySelector(`[data-thread="${CSS.escape(focused)}"]`)?.focus();
  }

  #entry(thread) {
    const avatar = make("span", { className: "avatar", "aria-hidden": "true" });
    dress(avatar, thread.name, thread.address);
    const who = make("span", {
      className: "who",
      children: [make("strong", { text: thread.name }), make("span", { text: plain(thread.address) })],
    });
    const button = make("button", { type: "button", className: "entry", "data-thread": thread.address });
    button.append(avatar, who);
    if (thread.unread) {
      const label = `${thread.unread} new`;
      button.append(make("span", { className: "badge", text: String(thread.unread), "aria-label": label }));
    }
    if (thread === this.#current) button.setAttribute("aria-current", "true");
    button.addEventListener("click", () => this.open(thread.address));
    return button;
  }

  #draw(keepPlace = false) {
    const thread = this.#current;
    const calls = [...thread.calls.values()].map((item) => ({ at: item.at, item }));
    const all = [...calls, ...thread.messages].sort((a, b) => a.at - b.at);
    const log = $("thread-log");
    const fromEnd = log.scrollHeight - log.scrollTop;
    const empty = make("li", { className: "empty", text: "No messages or calls yet" });
    $("thread-items").replaceChildren(...(all.length ? all.map(row) : [empty]));
    $("history-more").hidden = !thread.next;
    log.scrollTop = keepPlace ? log.scrollHeight - fromEnd : log.scrollHeight;
  }
}

function row({ at, item, text, theirs, failed }) {
  const time = make("time", { text: when(at), datetime: new Date(at * 1000).toISOString() });
  if (!item) {
    const className = `message${theirs ? " theirs" : ""}${failed ? " failed" : ""}`;
    const line = make("li", { className, children: [make("p", { text }), time] });
    if (failed) line.append(make("p", { text: "Not delivered" }));
    return line;
  }
  const entry = make("li", {
    className: "history-item",
    "data-call": item.call,
    "data-direction": item.direction,
    "data-missed": String(item.missed),
    "data-reason": item.reason ?? "",
  });
  entry.append(icon("phone"), make("span", { text: historyText(item) }), time);
  return entry;
}
