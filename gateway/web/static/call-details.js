/* What is shown of a call beside its name and time: its quality, and who is in a group. */

import { plain } from "./addresses.js";
import { $, make } from "./dom.js";
import { errorText } from "./words.js";

const GRADES = { good: "Good", fair: "Fair", poor: "Poor" };

export class CallDetails {
  #note;

  /** `note` shows a line to the person. */
  constructor(note) {
    this.#note = note;
    $("call-quality").addEventListener("click", () => this.#open($("call-quality-detail").hidden));
  }

  show(call) {
    this.#open(false);
    this.draw(call);
  }

  draw(call) {
    const { grade } = call;
    const path = call.pc?.connectionState;
    const lost = call.state === "connected" && (path === "disconnected" || path === "failed");
    $("call-quality").hidden = call.state !== "connected" || !(grade || lost);
    $("call-quality").dataset.grade = lost ? "lost" : (grade ?? "");
    $("call-quality-text").textContent = lost ? "No connection" : (GRADES[grade] ?? "");
    if (call.state !== "connected") this.#open(false);
    this.#table(call);
    this.#parties(call);
  }

  #open(shown) {
    $("call-quality-detail").hidden = !shown;
    $("call-quality").setAttribute("aria-expanded", String(shown));
  }

  #table(call) {
    const { quality } = call;
    if (!quality) return;
    const { sent, received } = quality;
    const line = (name, show) => [
      make("dt", { text: name }),
      make("dd", { text: show(sent) }),
      make("dd", { text: show(received) }),
    ];
    const codec = make("dd", { text: call.codec ?? "" });
    $("call-quality-detail").replaceChildren(
      ...line("", (way) => (way === sent ? "sent" : "heard")),
      ...line("Score of 4.5", (way) => way.mos.toFixed(1)),
      ...line("Lost", (way) => `${(way.loss * 100).toFixed(1)} %`),
      ...line("Jitter", (way) => `${way.jitter_ms.toFixed(0)} ms`),
      ...line("Round trip", (way) => (way.rtt_ms === null ? "–" : `${way.rtt_ms.toFixed(0)} ms`)),
      make("dt", { text: "Codec" }),
      codec,
    );
  }

  #parties(call) {
    const list = $("call-parties");
    list.hidden = call.others.size === 0 || call.state !== "connected";
    const whispered = call.whisper?.to ?? null;
    const key = JSON.stringify([[...call.others], whispered]);
    if (list.dataset.drawn === key) return;
    list.dataset.drawn = key;
    list.replaceChildren(
      ...[...call.others].map(([address, name]) => {
        const text = name === address ? plain(address) : name;
        const item = make("li", { children: [make("span", { text })], "data-party": address });
        if (call.direction === "in") return item; // whoever began the call may speak to one alone
        const whisper = make("button", { type: "button", text: "Whisper", "aria-label": `Whisper to ${text}` });
        whisper.setAttribute("aria-pressed", String(whispered === address));
        whisper.addEventListener("click", () => {
          call.whisperTo(whispered === address ? null : address).catch((e) => this.#note(errorText(e)));
        });
        item.append(whisper);
        return item;
      }),
    );
  }
}
