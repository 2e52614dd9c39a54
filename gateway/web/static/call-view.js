/* The call screen, the bar it shrinks to, and the sheet of an incoming call. */

import { plain } from "./addresses.js";
import { CallDetails } from "./call-details.js";
import { $, dress, make } from "./dom.js";
import { noticeOf } from "./notices.js";
import { keySound, startRinging, stopRinging } from "./ring.js";
import { clock, endedText, errorText, stateText } from "./words.js";

const SHOW_END_MS = 2_500;
const LEVEL_MS = 80;
const KEYS = "123456789*0#";
const TEXTS = ["I'll call you back", "Can't talk right now", "On my way"];

export class CallView extends EventTarget {
  #call = null;
  #incoming = null;
  #tick = 0;
  #closing = 0;
  #sent = "";
  #level = 0;
  #takeBack = () => {};
  #details = new CallDetails((text) => this.#note(text));

  constructor() {
    super();
    $("call-minimise").addEventListener("click", () => this.minimise());
    $("call-return").addEventListener("click", () => this.#restore());
    $("call-bar-mute").addEventListener("click", () => this.#call?.setMuted(!this.#call.muted));
    $("call-bar-hangup").addEventListener("click", () => this.#hangUpOrClose());
    $("call-audio").addEventListener("click", () => this.#showDevices($("call-devices").hidden));
    $("call-hold").addEventListener("click", () => this.#hold());
    $("call-add").addEventListener("click", () => this.#another("add"));
    $("call-transfer").addEventListener("click", () => this.#another("transfer"));
    $("call-microphone").addEventListener("change", () => this.#speakInto($("call-microphone").value));
    $("incoming-message").addEventListener("click", () => this.#showTexts($("incoming-texts").hidden));
    for (const text of TEXTS) {
      const button = make("button", { type: "button", text });
      button.addEventListener("click", () => this.#declineSaying(text));
      $("incoming-texts").append(button);
    }
    $("call-hangup").addEventListener("click", () => this.#hangUpOrClose());
    $("call-mute").addEventListener("click", () => this.#call?.setMuted(!this.#call.muted));
    $("call-keypad-button").addEventListener("click", () => this.#showKeypad($("call-keypad").hidden));
    $("call-speaker").addEventListener("change", () => this.#speak($("call-speaker").value));
    $("incoming-accept").addEventListener("click", () => this.#accept());
    $("incoming-decline").addEventListener("click", () => this.#incoming?.decline());
    $("incoming").addEventListener("cancel", (event) => event.preventDefault()); // Escape decides nothing
    for (const digit of KEYS) {
      const name = { "*": "Star", "#": "Hash" }[digit] ?? digit;
      const key = make("button", { type: "button", text: digit, "data-digit": digit, "aria-label": name });
      key.addEventListener("click", () => this.#press(digit));
      $("call-keys").append(key);
    }
    document.addEventListener("keydown", (event) => this.#typed(event));
    navigator.mediaDevices?.addEventListener?.("devicechange", () => this.#devices());
  }

  get call() {
    return this.#call;
  }

  /** Ask whom; the page says who there is. */
  choose = async () => null;

  get busy() {
    return this.#call !== null && !this.#call.over;
  }

  /** Show a call that has begun. */
  show(call) {
    clearTimeout(this.#closing);
    this.#closing = 0;
    this.#call = call;
    this.#sent = "";
    nameOf("call-hangup").textContent = "Hang up";
    $("call-digits").textContent = "";
    $("call-heard").textContent = "";
    this.#showKeypad(false);
    this.#showDevices(false);
    $("call-name").textContent = call.peer.name;
    dress($("call-avatar"), call.peer.name, call.peer.address);
    this.#details.show(call);
    this.#restore();
    document.body.classList.add("in-call");
    call.addEventListener("change", () => this.#draw(call));
    call.addEventListener("dtmf", ({ detail }) => this.#heard(call, detail.digit));
    call.addEventListener("notice", ({ detail }) => this.#note(detail.text));
    call.addEventListener("microphone-lost", () => this.#note("The microphone was disconnected"));
    call.addEventListener("stream", ({ detail }) => {
      $("remote-audio").srcObject = detail;
      $("remote-audio").play().catch(() => this.#note("The browser holds the sound back: press any key"));
    });
    call.addEventListener("party", ({ detail }) => this.#party(detail));
    this.#draw(call);
    this.#devices();
    this.#level = setInterval(() => this.#showLevel(), LEVEL_MS);
    $("call-hangup").focus({ preventScroll: true });
  }

  /** To a bar at the edge: the call goes on while something else is looked at. */
  minimise() {
    if (!this.#call) return;
    $("call-screen").hidden = true;
    $("call-bar").hidden = false;
    document.body.classList.add("minimised");
    $("call-return").focus({ preventScroll: true });
  }

  #restore() {
    $("call-bar").hidden = true;
    $("call-screen").hidden = false;
    document.body.classList.remove("minimised");
    $("call-minimise").focus({ preventScroll: true });
  }

  /** Offer a call that comes in; while another offer stands, this one is busy. */
  offer(call) {
    if (this.#incoming) {
      call.decline("busy");
      return;
    }
    this.#incoming = call;
    $("incoming-name").textContent = call.peer.name;
    $("incoming-text").textContent = this.busy
      ? "Incoming call. Accepting ends the present one"
      : `Incoming call from ${plain(call.peer.address)}`;
    if (call.others.size) {
      const others = [...call.others.keys()].filter((a) => a !== call.peer.address).map(plain);
      $("incoming-text").textContent += `. In the call: ${others.join(", ")}`;
    }
    const { verified } = call.peer;
    $("incoming-verified").dataset.verified = String(verified);
    $("incoming-verified").textContent =
      verified === undefined ? "" : verified ? "The number is verified" : "The number could not be verified";
    $("incoming-error").textContent = "";
    this.#showTexts(false);
    $("incoming-message").hidden = !call.peer.address.startsWith("user:");
    dress($("incoming-avatar"), call.peer.name, call.peer.address);
    call.addEventListener("change", () => this.#drawIncoming(call));
    $("incoming").showModal();
    $("incoming-accept").focus();
    document.title = `${call.peer.name} is calling`;
    startRinging();
    this.#takeBack = noticeOf(call);
  }

  #showTexts(shown) {
    $("incoming-texts").hidden = !shown;
    $("incoming-message").setAttribute("aria-expanded", String(shown));
  }

  #declineSaying(text) {
    const call = this.#incoming;
    if (!call) return;
    call.decline();
    this.dispatchEvent(new CustomEvent("say", { detail: { address: call.peer.address, text } }));
  }

  async #accept() {
    const call = this.#incoming;
    if (!call || call.state !== "incoming") return;
    stopRinging();
    await call.accept();
    if (call.error && !call.over) {
      $("incoming-error").textContent = errorText(call.error);
      return;
    }
    if (call.over) return;
    if (this.busy) this.#call.hangup();
    this.#closeSheet();
    this.show(call);
  }

  #drawIncoming(call) {
    if (call !== this.#incoming) return;
    $("incoming-accept").disabled = call.state === "accepting";
    if (!call.over) return;
    this.#closeSheet();
    this.dispatchEvent(new CustomEvent("over", { detail: call }));
  }

  #closeSheet() {
    stopRinging();
    this.#takeBack();
    this.#incoming = null;
    $("incoming").close();
    $("incoming-accept").disabled = false;
    document.title = "Messages";
  }

  #draw(call) {
    if (call !== this.#call) {
      if (call.over) this.dispatchEvent(new CustomEvent("over", { detail: call }));
      return;
    }
    const screen = $("call-screen");
    screen.dataset.state = call.state;
    screen.dataset.reason = call.reason ?? "";
    $("call-status").textContent = stateText(call);
    const mute = $("call-mute");
    mute.setAttribute("aria-pressed", String(call.muted));
    nameOf("call-mute").textContent = call.muted ? "Unmute" : "Mute";
    $("call-bar-mute").setAttribute("aria-pressed", String(call.muted));
    nameOf("call-hold").textContent = call.holding ? "Resume" : "Hold";
    $("call-hold").setAttribute("aria-pressed", String(call.holding));
    $("call-bar-name").textContent = call.peer.name;
    this.#details.draw(call);
    $("call-mute-icon").setAttribute("href", call.muted ? "#i-mic-off" : "#i-mic");
    const connected = call.state === "connected";
    mute.disabled = call.over;
    for (const id of ["call-keypad-button", "call-hold", "call-add"]) $(id).disabled = !connected;
    $("call-transfer").disabled = !connected || call.others.size > 0;
    if (!connected) this.#showKeypad(false);
    if (connected && !this.#tick) {
      this.#tick = setInterval(() => this.#time(), 250);
      this.#devices(); // names of devices are told only once the microphone is allowed
    }
    this.#time();
    if (call.over && !this.#closing) this.#end(call);
  }

  #time() {
    const at = this.#call?.connectedAt;
    const running = at && this.#call.state === "connected";
    const text = running ? clock((Date.now() - at) / 1000) : "";
    if ($("call-timer").textContent !== text) $("call-timer").textContent = text;
    const bar = text || stateText(this.#call ?? { state: "inviting" });
    if (this.#call && $("call-bar-time").textContent !== bar) $("call-bar-time").textContent = bar;
  }

  #showLevel() {
    const level = this.#call?.level ?? 0;
    $("call-level").style.opacity = level > 0.25 ? "0.9" : "0";
    $("call-level").style.scale = String(1 + level * 0.18);
  }

  async #hold() {
    const call = this.#call;
    try {
      await call?.setHeld(!call.holding);
    } catch (error) {
      if (!call.over) this.#note(errorText(error));
    }
  }

  /** Add somebody, or leave the call to them. */
  async #another(what) {
    const call = this.#call;
    if (call?.state !== "connected") return;
    const title = what === "add" ? "Add to the call" : "Transfer the call";
    const answer = await this.choose({ title, verb: what === "add" ? "Call" : "Transfer" });
    if (!answer || call.over) return;
    this.#note(what === "add" ? `Calling ${plain(answer)}…` : `Transferring to ${plain(answer)}…`);
    try {
      await (what === "add" ? call.add(answer) : call.transfer(answer));
    } catch (error) {
      if (!call.over) this.#note(errorText(error));
    }
  }

  #party({ address, name, joined, reason }) {
    const who = name ?? plain(address);
    if (joined) this.#note(`${who} is in the call`);
    else if (reason) this.#note(endedText({ peer: { name: who }, direction: "out", reason }));
    else this.#note(`${who} has left`);
  }

  #end(call) {
    clearInterval(this.#tick);
    clearInterval(this.#level);
    this.#tick = 0;
    this.#restore();
    $("remote-audio").srcObject = null;
    nameOf("call-hangup").textContent = "Close";
    this.#closing = setTimeout(() => this.#close(), SHOW_END_MS);
    this.dispatchEvent(new CustomEvent("over", { detail: call }));
  }

  #hangUpOrClose() {
    if (this.busy) this.#call.hangup();
    else this.#close();
  }

  #close() {
    clearTimeout(this.#closing);
    this.#closing = 0;
    const text = this.#call ? endedText(this.#call) : "";
    const failed = this.#call && !["completed", "cancelled"].includes(this.#call.reason);
    const call = this.#call;
    this.#call = null;
    nameOf("call-hangup").textContent = "Hang up";
    $("call-screen").hidden = $("call-bar").hidden = true;
    document.body.classList.remove("in-call", "minimised");
    this.dispatchEvent(new CustomEvent("closed", { detail: { call, text: failed ? text : "" } }));
  }

  // -- keypad

  #showKeypad(shown) {
    $("call-keypad").hidden = !shown;
    if (shown) this.#showDevices(false);
    $("call-keypad-button").setAttribute("aria-expanded", String(shown));
  }

  async #press(digit) {
    const call = this.#call;
    if (call?.state !== "connected") return;
    keySound(digit);
    this.#sent = (this.#sent + digit).slice(-18);
    $("call-digits").textContent = this.#sent;
    try {
      await call.dtmf(digit);
    } catch (error) {
      if (!call.over) this.#note(errorText(error));
    }
  }

  #typed(event) {
    if ($("call-keypad").hidden || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target instanceof HTMLInputElement || !KEYS.includes(event.key)) return;
    event.preventDefault();
    this.#press(event.key);
  }

  #heard(call, digit) {
    if (call !== this.#call) return;
    const before = $("call-heard").dataset.digits ?? "";
    const digits = ($("call-heard").textContent ? before : "") + digit;
    $("call-heard").dataset.digits = digits.slice(-18);
    $("call-heard").textContent = `${call.peer.name} pressed ${digits.slice(-18)}`;
  }

  #note(text) {
    $("call-heard").textContent = text;
  }

  // -- where the sound comes from, and where it goes

  #showDevices(shown) {
    $("call-devices").hidden = !shown;
    $("call-audio").setAttribute("aria-expanded", String(shown));
  }

  async #devices() {
    const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    this.#microphones(devices.filter((d) => d.kind === "audioinput" && d.deviceId));
    this.#speakers("setSinkId" in HTMLMediaElement.prototype ? devices : []);
  }

  #microphones(inputs) {
    $("call-microphone-row").hidden = inputs.length < 2;
    const [track] = this.#call?.microphone?.getAudioTracks() ?? [];
    $("call-microphone").replaceChildren(
      ...inputs.map((d, i) => make("option", { value: d.deviceId, text: d.label || `Microphone ${i + 1}` })),
    );
    const used = track?.getSettings().deviceId;
    if (inputs.some((d) => d.deviceId === used)) $("call-microphone").value = used;
  }

  async #speakInto(device) {
    try {
      await this.#call?.useMicrophone(device);
    } catch (error) {
      this.#note(errorText(error));
      this.#devices();
    }
  }

  #speakers(devices) {
    const outputs = devices.filter((d) => d.kind === "audiooutput" && d.deviceId);
    $("call-speaker-row").hidden = outputs.length < 2;
    const chosen = $("remote-audio").sinkId || "default";
    $("call-speaker").replaceChildren(
      ...outputs.map((d, i) => make("option", { value: d.deviceId, text: d.label || `Speaker ${i + 1}` })),
    );
    if (outputs.some((d) => d.deviceId === chosen)) $("call-speaker").value = chosen;
  }

  async #speak(device) {
    try {
      await $("remote-audio").setSinkId(device);
    } catch {
      this.#note("This speaker cannot be used");
      this.#devices();
    }
  }
}

function nameOf(button) {
  return $(button).querySelector(".name");
}
