/* One call of a DmClient (dm-call.js): its states, its microphone, its peer connection. */

import { gathered, microphone } from "./dm-media.js";

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
