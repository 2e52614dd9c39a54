/* The DM call protocol in a browser: session, reconnecting, calls and their media.
 *
 *   const client = new DmClient({ url, token: async () => "…" });
 *   client.addEventListener("state", …);     // client.state: offline, connecting, open,
 *                                            // reconnecting, displaced, refused
 *   client.addEventListener("incoming", e => e.detail.accept());   // a DmCall
 *   client.addEventListener("ended", …);     // the gateway says that a call is over, and recorded
 *   await client.start();
 *   const call = client.call("sip:1001@dm.localhost", { thread: "…" });
 *   call.addEventListener("change", …);      // call.state, call.reason, call.error
 *
 * Nothing here touches the document.
 */

const SUBPROTOCOL = "dm-call.v1";
const REQUEST_TIMEOUT_MS = 15_000;
const GATHERING_MS = 1_500;
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

/** Why there is no microphone: `kind` is denied, missing, busy, insecure or failed. */
export class MicrophoneError extends Error {
  constructor(kind, cause) {
    super(`microphone ${kind}`, { cause });
    this.name = "MicrophoneError";
    this.kind = kind;
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
  }

  /** Sign in; resolves when the session is open, rejects when the token is refused. */
  start() {
    globalThis.addEventListener?.("online", this.online);
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

/** One call. `state`: starting, inviting, ringing, incoming, accepting, accepted, connected, ended. */
export class DmCall extends EventTarget {
  #client;
  #restarting = false;
  #lostTimer = 0;

  constructor(client, { direction, peer, thread, id = null, expires = null }) {
    super();
    this.#client = client;
    this.direction = direction;
    this.peer = peer;
    this.thread = thread;
    this.id = id;
    this.expires = expires;
    this.state = direction === "in" ? "incoming" : "starting";
    this.reason = null;
    this.by = null;
    this.error = null;
    this.muted = false;
    this.peerMuted = false;
    this.held = false;
    this.connectedAt = null; // by this browser's clock, in ms
    this.durationS = 0;
    this.quality = null;
    this.codec = null;
    this.pc = null;
    this.microphone = null;
    this.remoteStream = null;
  }

  get over() {
    return this.state === "ended";
  }

  /** Outgoing: take the microphone, offer, invite. */
  async begin() {
    try {
      const sdp = await this.#offer();
      if (this.over) return;
      const params = { to: this.peer.address, sdp, ...(this.thread && { thread: this.thread }) };
      const { call } = await this.#client.request("call.invite", params);
      this.id = call;
      if (this.over) {
        this.#client.request("call.hangup", { call }).catch(() => {});
        return;
      }
      this.#become("inviting");
      this.#client.adopt(this);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Incoming: take the microphone, offer, accept. The call goes on ringing where that fails. */
  async accept() {
    if (this.state !== "incoming") return;
    this.error = null;
    this.#become("accepting");
    try {
      const sdp = await this.#offer();
      if (this.over) return;
      await this.#client.request("call.accept", { call: this.id, sdp });
      if (this.state === "accepting") this.#become("accepted");
    } catch (error) {
      if (this.over) return;
      this.#release();
      this.error = error;
      this.#become("incoming");
    }
  }

  decline(reason = "declined") {
    if (this.state !== "incoming" && this.state !== "accepting") return;
    this.#client.request("call.decline", { call: this.id, reason }).catch(() => {});
    this.finish({ reason, by: "callee", duration_s: 0 });
  }

  hangup() {
    if (this.over) return;
    if (this.id) this.#client.request("call.hangup", { call: this.id }).catch(() => {});
    const mine = this.direction === "out" ? "caller" : "callee";
    const talked = this.connectedAt === null ? 0 : (Date.now() - this.connectedAt) / 1000;
    this.finish({ reason: talked ? "completed" : "cancelled", by: mine, duration_s: talked });
  }

  setMuted(muted) {
    this.muted = muted;
    for (const track of this.microphone?.getAudioTracks() ?? []) track.enabled = !muted;
    if (this.state === "connected") {
      this.#client.request("call.mute", { call: this.id, muted }).catch(() => {});
    }
    this.#changed();
  }

  /** Send digits; resolves when the last one is sent. */
  dtmf(digits, durationMs = 160) {
    const params = { call: this.id, digits, duration_ms: durationMs };
    const timeout = REQUEST_TIMEOUT_MS + digits.length * (durationMs + 500);
    return this.#client.request("call.dtmf", params, timeout);
  }

  // -- what the gateway says

  event(method, params) {
    if (this.over) return;
    switch (method) {
      case "call.ringing":
        if (this.state === "inviting") this.#become("ringing");
        break;
      case "call.media":
        this.codec = params.codec;
        this.#answered(params.sdp);
        break;
      case "call.accepted":
        if (this.state !== "connected") this.#become("accepted");
        break;
      case "call.connected":
        if (this.state !== "connected") {
          this.connectedAt = Date.now();
          this.#become("connected");
          if (this.muted) this.setMuted(true);
        }
        break;
      case "call.held":
        if (!this.#isMine(params.by)) this.held = params.held;
        this.#changed();
        break;
      case "call.muted":
        if (!this.#isMine(params.by)) this.peerMuted = params.muted;
        this.#changed();
        break;
      case "call.dtmf":
        this.dispatchEvent(new CustomEvent("dtmf", { detail: params }));
        break;
      case "call.quality":
        this.quality = params;
        this.#changed();
        break;
      case "call.notice":
        this.dispatchEvent(new CustomEvent("notice", { detail: params }));
        break;
      case "call.ended":
        this.finish(params);
        break;
      default: // an event of a later version
    }
  }

  finish({ reason, by, duration_s: durationS }) {
    if (this.over) return;
    this.reason = reason;
    this.by = by;
    this.durationS = durationS;
    this.#client.calls.delete(this.id);
    this.#release();
    this.#become("ended");
  }

  /** The session came back over another socket: the media path may have to be found anew. */
  networkChanged() {
    const state = this.pc?.connectionState;
    if (state === "disconnected" || state === "failed") this.#restart();
  }

  // -- media

  async #offer() {
    this.microphone = await microphone();
    if (this.over) {
      this.#release();
      return null;
    }
    const pc = new RTCPeerConnection({ iceServers: this.#client.iceServers, bundlePolicy: "max-bundle" });
    this.pc = pc;
    this.remoteStream = new MediaStream();
    pc.ontrack = ({ track }) => {
      this.remoteStream.addTrack(track);
      this.dispatchEvent(new CustomEvent("stream", { detail: this.remoteStream }));
    };
    pc.onconnectionstatechange = () => this.#path(pc.connectionState);
    const [track] = this.microphone.getAudioTracks();
    track.enabled = !this.muted;
    track.onended = () => this.dispatchEvent(new Event("microphone-lost"));
    pc.addTrack(track, this.microphone);
    return gathered(pc, await pc.createOffer());
  }

  async #answered(sdp) {
    if (this.pc?.signalingState !== "have-local-offer") return;
    try {
      await this.pc.setRemoteDescription({ type: "answer", sdp });
    } catch (error) {
      this.hangup();
      this.error = error;
    }
  }

  #path(state) {
    clearTimeout(this.#lostTimer);
    if (state === "failed") this.#restart();
    if (state === "disconnected") this.#lostTimer = setTimeout(() => this.#restart(), 2_000);
    this.#changed();
  }

  /** Find a new path (ICE restart, RFC 8445 §9) with a fresh offer. */
  async #restart() {
    const pc = this.pc;
    if (!pc || this.#restarting || this.over || !this.id || this.#client.state !== "open") return;
    if (pc.signalingState !== "stable") return;
    this.#restarting = true;
    try {
      const sdp = await gathered(pc, await pc.createOffer({ iceRestart: true }));
      const answer = await this.#client.request("call.media", { call: this.id, sdp });
      if (!this.over) await pc.setRemoteDescription({ type: "answer", sdp: answer.sdp });
    } catch {
      if (pc.signalingState === "have-local-offer") await pc.setLocalDescription({ type: "rollback" });
    } finally {
      this.#restarting = false;
    }
  }

  #release() {
    clearTimeout(this.#lostTimer);
    for (const track of this.microphone?.getTracks() ?? []) {
      track.onended = null;
      track.stop();
    }
    this.microphone = null;
    if (this.pc) {
      this.pc.onconnectionstatechange = null;
      this.pc.close();
    }
  }

  #fail(error) {
    if (this.over) return;
    this.error = error;
    this.finish({ reason: "failed", by: "caller", duration_s: 0 });
  }

  #isMine(address) {
    return address === this.#client.user?.address;
  }

  #become(state) {
    this.state = state;
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

async function microphone() {
  if (!navigator.mediaDevices) throw new MicrophoneError("insecure");
  const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
  try {
    return await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    const kinds = {
      NotAllowedError: "denied",
      SecurityError: "denied",
      NotFoundError: "missing",
      OverconstrainedError: "missing",
      NotReadableError: "busy",
      AbortError: "busy",
    };
    throw new MicrophoneError(kinds[error.name] ?? "failed", error);
  }
}

/** Set the local description and wait for its candidates, but not for ever. */
async function gathered(pc, offer) {
  await pc.setLocalDescription(offer);
  if (pc.iceGatheringState !== "complete") {
    await new Promise((resolve) => {
      const done = () => {
        if (pc.iceGatheringState === "complete") resolve();
      };
      pc.addEventListener("icegatheringstatechange", done);
      setTimeout(resolve, GATHERING_MS);
    });
  }
  return pc.localDescription.sdp;
}
