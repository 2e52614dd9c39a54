/* One call of a DmClient (dm-call.js): its states, its microphone, its peer connection. */

import { gathered, levelOf, microphone } from "./dm-media.js";

/** One call. `state`: starting, inviting, ringing, incoming, accepting, accepted, connected, ended. */
export class DmCall extends EventTarget {
  #client;
  #restarting = false;
  #again = false;
  #meter = null;
  #deviceId = null;
  #lostTimer = 0;

  constructor(client, { direction, peer, thread, id = null, expires = null, group = [] }) {
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
    this.held = false; // by another
    this.holding = false; // by us
    this.others = new Map(group.map((address) => [address, address])); // of a group: address → name
    this.silencedBy = null; // an address: a moderator has muted all
    this.whisper = null; // { by, to }, addresses, while one speaks to one alone and we are one of them
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

  /** Neither hears the other until we take it back; in a group, step out of it. */
  async setHeld(held) {
    await this.#client.request("call.hold", { call: this.id, held });
    this.holding = held;
    this.#changed();
  }

  /** Call another into this one; resolves when they are being called. */
  add(address) {
    return this.#client.request("call.add", { call: this.id, to: address });
  }

  /** Leave the call to another; resolves when they have answered. */
  transfer(address) {
    return this.#client.request("call.transfer", { call: this.id, to: address }, 75_000);
  }

  /** Speak to one of a group alone, or with `null` to all again. */
  whisperTo(address) {
    return this.#client.request("call.whisper", { call: this.id, to: address });
  }

  /** How it was: `score` 1 to 5, `tags` as the protocol names them. After the end. */
  rate(score, tags = [], comment = "") {
    const params = { call: this.id, score, ...(tags.length && { tags }), ...(comment && { comment }) };
    return this.#client.request("call.feedback", params);
  }

  report(category, { comment = "", block = false } = {}) {
    const params = { call: this.id, category, block, ...(comment && { comment }) };
    return this.#client.request("call.report", params);
  }

  /** Speak into another microphone; without a call yet, into that one when it begins. */
  async useMicrophone(deviceId) {
    this.#deviceId = deviceId;
    const sender = this.pc?.getSenders().find((s) => s.track?.kind === "audio");
    if (!sender || this.over) return;
    const stream = await microphone(deviceId);
    if (this.over) {
      for (const track of stream.getTracks()) track.stop();
      return;
    }
    const [track] = stream.getAudioTracks();
    track.enabled = !this.muted;
    track.onended = () => this.dispatchEvent(new Event("microphone-lost"));
    await sender.replaceTrack(track);
    for (const old of this.microphone.getTracks()) {
      old.onended = null;
      old.stop();
    }
    this.microphone = stream;
    this.#meter?.close();
    this.#meter = null;
  }

  /** How loud we speak, 0 to 1; 0 while muted. */
  get level() {
    if (!this.microphone || this.muted) return 0;
    this.#meter ??= levelOf(this.microphone);
    return this.#meter.value;
  }

  /** `good`, `fair` or `poor` by the worse of both ways (ITU-T G.107), or null: not known yet. */
  get grade() {
    if (!this.quality) return null;
    const mos = Math.min(this.quality.sent.mos, this.quality.received.mos);
    return mos >= 3.6 ? "good" : mos >= 2.8 ? "fair" : "poor";
  }

  /** Send digits; resolves when the last one is sent. */
  dtmf(digits, durationMs = 160) {
    const params = { call: this.id, digits, duration_ms: durationMs };
    const timeout = 15_000 + digits.length * (durationMs + 500);
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
      case "call.joined":
        if (this.others.size === 0) this.others.set(this.peer.address, this.peer.name);
        this.others.set(params.address, params.name ?? params.address);
        this.dispatchEvent(new CustomEvent("party", { detail: { ...params, joined: true } }));
        this.#changed();
        break;
      case "call.left":
        this.others.delete(params.address);
        if (this.whisper && [this.whisper.by, this.whisper.to].includes(params.address)) this.whisper = null;
        this.dispatchEvent(new CustomEvent("party", { detail: { ...params, joined: false } }));
        this.#changed();
        break;
      case "call.muted_all":
        this.silencedBy = params.muted ? params.by : null;
        this.#changed();
        break;
      case "call.whispering":
        this.whisper = params.to ? { by: params.by, to: params.to } : null;
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

  /** The session came back, or the browser has another network: the path is found anew. */
  networkChanged() {
    this.#restart();
  }

  // -- media

  async #offer() {
    this.microphone = await microphone(this.#deviceId);
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
    if (!pc || this.over || !this.id || this.#client.state !== "open") return;
    if (this.#restarting) this.#again = true;
    if (this.#restarting || pc.signalingState !== "stable") return;
    this.#restarting = true;
    try {
      const sdp = await gathered(pc, await pc.createOffer({ iceRestart: true }));
      const answer = await this.#client.request("call.media", { call: this.id, sdp });
      if (!this.over) await pc.setRemoteDescription({ type: "answer", sdp: answer.sdp });
    } catch {
      if (pc.signalingState === "have-local-offer") await pc.setLocalDescription({ type: "rollback" });
    } finally {
      this.#restarting = false;
      if (this.#again) {
        this.#again = false; // the network has changed once more meanwhile
        this.#restart();
      }
    }
  }

  #release() {
    clearTimeout(this.#lostTimer);
    this.#meter?.close();
    this.#meter = null;
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
