/* The DM call protocol in a browser: session, reconnecting, calls and their media.
 *
 *   const client = new DmClient({ url, token: async () => "…" });
 *   client.addEventListener("state", …);     // client.state: offline, connecting, open,
 *                                            // reconnecting, displaced, refused
 *   client.addEventListener("incoming", e => e.detail.accept());   // a DmCall
 *   client.addEventListener("ended", …);     // the gateway says that a call is over, and recorded
 *   client.addEventListener("event", …);     // every event as it comes: detail {method, params}
 *   await client.start();
 *   const call = client.call("sip:1001@dm.localhost", { thread: "…" });
 *   call.addEventListener("change", …);      // call.state, call.reason, call.error
 *
 * Nothing here touches the document.
 */

import { DmCall } from "./dm-one-call.js";

export { DmCall };
export { MicrophoneError } from "./dm-media.js";

const SUBPROTOCOL = "dm-call.v1";
const REQUEST_TIMEOUT_MS = 15_000;
const BACKOFF_MS = [200, 500, 1_000, 2_000, 4_000, 8_000];
const DISPLACED = 4409;
const TOKEN_REFUSED = 4401;
/* Asking twice does what asking once does: said again on the socket that follows a lost one. */
const REPEATABLE = new Set(["call.hangup", "call.decline", "call.mute", "call.hold", "history.list"]);

/** An error answer of the gateway, or `code` 0 where none came. */
export class DmError extends Error {
  constructor(code, message, data = {}) {
    super(message);
    this.name = "DmError";
    this.code = code;
    this.data = data;
  }
}

export class DmClient extends EventTarget {
  #token;
  #socket = null;
  #session = null;
  #nextId = 1;
  #pending = new Map();
  #waiting = [];
  #attempt = 0;
  #retry = 0;
  #heardAt = 0;
  #early = new Map();
  #round = 0;

  constructor({ url, token }) {
    super();
    this.url = url;
    this.#token = token;
    this.state = "offline";
    this.user = null;
    this.limits = {};
    this.iceServers = [];
    this.calls = new Map();
    this.online = () => this.#hurry();
    this.changed = () => this.#networkChanged();
  }

  /** Sign in; resolves when the session is open, rejects when the token is refused. */
  start() {
    globalThis.addEventListener?.("online", this.online);
    globalThis.navigator?.connection?.addEventListener?.("change", this.changed);
    return new Promise((resolve, reject) => {
      const settled = () => {
        if (this.state === "open") resolve(this.user);
        else if (this.state === "refused") reject(this.refusal);
        else return;
        this.removeEventListener("state", settled);
      };
      this.addEventListener("state", settled);
      this.#connect();
    });
  }

  /** Sign out; every call ends. */
  stop() {
    globalThis.removeEventListener?.("online", this.online);
    globalThis.navigator?.connection?.removeEventListener?.("change", this.changed);
    clearTimeout(this.#retry);
    for (const call of [...this.calls.values()]) call.hangup();
    this.#forget("completed");
    this.#become("offline");
    this.#socket?.close(1000);
    this.#socket = null;
  }

  /** Call somebody; the call is there at once and says how it goes on by `change` events. */
  call(address, { thread, name } = {}) {
    const call = new DmCall(this, { direction: "out", peer: { address, name: name ?? address }, thread });
    call.begin();
    return call;
  }

  /** One request; rejects with a DmError. */
  request(method, params = {}, timeoutMs = REQUEST_TIMEOUT_MS) {
    return new Promise((resolve, reject) => {
      const id = this.#nextId++;
      const message = { jsonrpc: "2.0", id, method, params };
      const sentAt = Date.now();
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(new DmError(0, "no answer from the gateway"));
        if (this.#heardAt < sentAt) this.#hurry(); // the socket is dead and does not know it yet
      }, timeoutMs);
      this.#pending.set(id, { resolve, reject, timer, message });
      if (this.state === "open") this.#send(message);
      else this.#waiting.push(message);
    });
  }

  // -- the socket

  async #connect() {
    clearTimeout(this.#retry);
    this.#become(this.#session ? "reconnecting" : "connecting");
    const round = ++this.#round;
    let token;
    try {
      token = await this.#token();
    } catch (error) {
      if (round !== this.#round) return;
      if (error instanceof DmError) this.#refuse(error);
      else this.#again();
      return;
    }
    if (round !== this.#round || !["connecting", "reconnecting"].includes(this.state)) return;
    const socket = new WebSocket(this.url, SUBPROTOCOL);
    this.#socket = socket;
    socket.onopen = () => {
      const params = this.#session ? { token, resume: this.#session } : { token };
      socket.send(JSON.stringify({ jsonrpc: "2.0", id: "open", method: "session.open", params }));
    };
    socket.onmessage = (event) => {
      this.#heardAt = Date.now();
      if (socket === this.#socket) this.#hear(JSON.parse(event.data));
    };
    socket.onclose = (event) => {
      if (socket === this.#socket) this.#closed(event.code);
    };
  }

  #hear(message) {
    if (message.id === "open") this.#opened(message);
    else if (message.method) this.#event(message.method, message.params ?? {});
    else {
      const waiting = this.#pending.get(message.id);
      if (!waiting) return;
      this.#pending.delete(message.id);
      clearTimeout(waiting.timer);
      const { error } = message;
      if (error) waiting.reject(new DmError(error.code, error.message, error.data));
      else waiting.resolve(message.result);
    }
  }

  #opened({ result, error }) {
    if (error) {
      this.#refuse(new DmError(error.code, error.message, error.data));
      return;
    }
    const resumed = result.session === this.#session;
    if (this.#session && !resumed) this.#forget("network_lost");
    this.#session = result.session;
    this.user = result.user;
    this.limits = result.limits;
    this.iceServers = result.ice_servers;
    this.#attempt = 0;
    const repeated = resumed
      ? [...this.#pending.values()].map((p) => p.message).filter((m) => REPEATABLE.has(m.method))
      : [];
    const fresh = this.#waiting.splice(0).filter((m) => this.#pending.has(m.id) && !repeated.includes(m));
    this.#become("open");
    for (const message of [...repeated, ...fresh]) this.#send(message);
    if (resumed) for (const call of this.calls.values()) call.networkChanged();
  }

  #closed(code) {
    this.#socket = null;
    if (this.state === "offline" || this.state === "refused") return;
    if (code === DISPLACED || this.state === "displaced") {
      this.#forget("network_lost");
      this.#become("displaced");
      return;
    }
    this.#again();
  }

  #again() {
    this.#become(this.#session ? "reconnecting" : "connecting");
    const pause = BACKOFF_MS[Math.min(this.#attempt++, BACKOFF_MS.length - 1)];
    this.#retry = setTimeout(() => this.#connect(), pause * (0.75 + Math.random() / 2));
  }

  /** The network came back or changed: try at once. */
  #hurry() {
    if (!["open", "reconnecting", "connecting"].includes(this.state)) return;
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    this.#attempt = 0;
    this.#connect();
  }

  /** Another network: the socket may be dead without knowing, and media needs another path. */
  #networkChanged() {
    if (this.state === "open" && this.calls.size > 0) this.#hurry();
  }

  #refuse(error) {
    this.refusal = error;
    const socket = this.#socket;
    this.#socket = null;
    socket?.close(1000);
    if (error.code !== TOKEN_REFUSED && error.code !== 0) {
      this.#again(); // too many clients, or no capacity: later it may do
      return;
    }
    this.#forget("network_lost");
    this.#become("refused");
  }

  #send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  /** The session is over: nothing of it will be answered. */
  #forget(reason) {
    this.#session = null;
    for (const { reject, timer } of this.#pending.values()) {
      clearTimeout(timer);
      reject(new DmError(0, "the session is over"));
    }
    this.#pending.clear();
    this.#waiting = [];
    for (const call of [...this.calls.values()]) call.finish({ reason, by: "gateway", duration_s: 0 });
  }

  #become(state) {
    if (state === this.state) return;
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }

  // -- events

  #event(method, params) {
    this.dispatchEvent(new CustomEvent("event", { detail: { method, params } }));
    if (method === "call.ended") this.dispatchEvent(new CustomEvent("ended", { detail: params }));
    if (method === "session.displaced") {
      this.#become("displaced");
    } else if (method === "call.incoming") {
      if (this.calls.has(params.call)) return; // told again after resuming
      const call = new DmCall(this, {
        direction: "in",
        peer: params.from,
        thread: params.thread,
        id: params.call,
        expires: params.expires,
        group: params.group,
      });
      this.calls.set(call.id, call);
      this.dispatchEvent(new CustomEvent("incoming", { detail: call }));
    } else if (this.calls.has(params.call)) {
      this.calls.get(params.call).event(method, params);
    } else if (params.call && [...this.#pending.values()].some((p) => p.message.method === "call.invite")) {
      // its invite's answer is being taken: the promise resolves a moment after the event
      const events = this.#early.get(params.call) ?? [];
      if (events.length < 32) this.#early.set(params.call, [...events, [method, params]]);
    }
  }

  /** A call got its id. */
  adopt(call) {
    this.calls.set(call.id, call);
    const events = this.#early.get(call.id) ?? [];
    this.#early.clear();
    for (const [method, params] of events) call.event(method, params);
  }
}
