/* The call screen and the sheet of an incoming call. */

import { $, dress, make } from "./dom.js";
import { keySound, startRinging, stopRinging } from "./ring.js";
import { clock, endedText, errorText, stateText } from "./words.js";

const SHOW_END_MS = 2_500;
const KEYS = "123456789*0#";

export class CallView extends EventTarget {
  #call = null;
  #incoming = null;
  #tick = 0;
  #closing = 0;
  #sent = "";

  constructor() {
    super();
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
    navigator.mediaDevices?.addEventListener?.("devicechange", () => this.#speakers());
  }

  get call() {
    return this.#call;
  }

  get busy() {
    return this.#call !== null && !this.#call.over;
  }

  /** Show a call that has begun. */
  show(call) {
    clearTimeout(this.#closing);
    this.#closing = 0;
    this.#call = call;
    this.#sent = "";
    $("call-hangup").querySelector("span").textContent = "Hang up";
    $("call-digits").textContent = "";
    $("call-heard").textContent = "";
    this.#showKeypad(false);
    $("call-name").textContent = call.peer.name;
    dress($("call-avatar"), call.peer.name, call.peer.address);
    $("call-screen").hidden = false;
    document.body.classList.add("in-call");
    call.addEventListener("change", () => this.#draw(call));
    call.addEventListener("dtmf", ({ detail }) => this.#heard(call, detail.digit));
    call.addEventListener("notice", ({ detail }) => this.#note(detail.text));
    call.addEventListener("microphone-lost", () => this.#note("The microphone was disconnected"));
    call.addEventListener("stream", ({ detail }) => {
      $("remote-audio").srcObject = detail;
      $("remote-audio").play().catch(() => this.#note("The browser holds the sound back: press any key"));
    });
    this.#draw(call);
    this.#speakers();
    $("call-hangup").focus({ preventScroll: true });
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
      : `Incoming call from ${call.peer.address.replace(/^\w+:/, "")}`;
    $("incoming-error").textContent = "";
    dress($("incoming-avatar"), call.peer.name, call.peer.address);
    call.addEventListener("change", () => this.#drawIncoming(call));
    $("incoming").showModal();
    $("incoming-accept").focus();
    document.title = `${call.peer.name} is calling`;
    startRinging();
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
    mute.querySelector("span").textContent = call.muted ? "Unmute" : "Mute";
    $("call-mute-icon").setAttribute("href", call.muted ? "#i-mic-off" : "#i-mic");
    const connected = call.state === "connected";
    mute.disabled = call.over;
    $("call-keypad-button").disabled = !connected;
    if (!connected) this.#showKeypad(false);
    if (connected && !this.#tick) {
      this.#tick = setInterval(() => this.#time(), 250);
      this.#speakers(); // names of devices are told only once the microphone is allowed
    }
    this.#time();
    if (call.over && !this.#closing) this.#end(call);
  }

  #time() {
    const at = this.#call?.connectedAt;
    const running = at && this.#call.state === "connected";
    const text = running ? clock((Date.now() - at) / 1000) : "";
    if ($("call-timer").textContent !== text) $("call-timer").textContent = text;
  }

  #end(call) {
    clearInterval(this.#tick);
    this.#tick = 0;
    $("remote-audio").srcObject = null;
    $("call-hangup").querySelector("span").textContent = "Close";
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
    this.#call = null;
    $("call-hangup").querySelector("span").textContent = "Hang up";
    $("call-screen").hidden = true;
    document.body.classList.remove("in-call");
    this.dispatchEvent(new CustomEvent("closed", { detail: failed ? text : "" }));
  }

  // -- keypad

  #showKeypad(shown) {
    $("call-keypad").hidden = !shown;
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

  // -- where the sound goes

  async #speakers() {
    const canChoose = "setSinkId" in HTMLMediaElement.prototype && navigator.mediaDevices;
    const devices = canChoose ? await navigator.mediaDevices.enumerateDevices() : [];
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
      this.#speakers();
    }
  }
}
