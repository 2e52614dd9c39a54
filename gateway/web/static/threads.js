/* Conversations: who there is, what was written here, which calls there were. */

import { $, dress, icon, make } from "./dom.js";
import { historyText, when } from "./words.js";

const SECTIONS = [
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

  constructor() {
    super();
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
    this.#list();
    this.close();
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
    this.#list();
    this.#draw();
    this.#load(thread);
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
    this.#current.messages.push({ at: Date.now() / 1000, text });
    $("message-text").value = "";
    this.#draw();
  }

  #openTyped(text) {
    const address = this.#address(text);
    $("address-error").textContent = address ? "" : "Write a name, 1001, +4930123456 or sip:1001@example.org";
    if (!address) return;
    $("address-input").value = "";
    this.open(address);
  }

  #address(text) {
    if (/^(user|sip|tel|service):\S+$/.test(text)) return text;
    if (/^\+[\d\s()./-]+$/.test(text)) return `tel:+${text.replace(/\D/g, "")}`;
    if (/^[^\s@]+@[^\s@]+$/.test(text)) return `sip:${text}`;
    if (/^\d+$/.test(text)) return `sip:${text}@${this.#domain}`;
    return /^[\w.-]{1,64}$/.test(text) ? `user:${text.toLowerCase()}` : null;
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
      const threads = [...this.#threads.values()].filter((t) => t.section === section);
      if (!threads.length) return null;
      const heading = make("h3", { text: title });
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
      const label = `${thread.unread} missed`;
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

function row({ at, item, text }) {
  const time = make("time", { text: when(at), datetime: new Date(at * 1000).toISOString() });
  if (!item) return make("li", { className: "message", children: [make("p", { text }), time] });
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

/** An address as people write it. */
export function plain(address) {
  return address.replace(/^user:/, "@").replace(/^(sip|tel|service):/, "");
}
