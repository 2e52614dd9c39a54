/* Sheets over the page: whom to add or transfer to, how a call was, the first word to a newcomer. */

import { $, dress, icon, make } from "./dom.js";
import { addressOf } from "./addresses.js";
import { errorText } from "./words.js";

for (const button of document.querySelectorAll("dialog [data-cancel]")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}

/** Ask for somebody; resolves to an address, or null. `people`: [{address, name}]. */
export function pick({ title, verb, people, domain }) {
  const dialog = $("picker");
  $("picker-title").textContent = title;
  $("picker-ok").textContent = verb;
  $("picker-input").value = "";
  $("picker-error").textContent = "";
  return new Promise((resolve) => {
    let chosen = null;
    const choices = people.map(({ address, name }) => {
      const avatar = make("span", { className: "avatar", "aria-hidden": "true" });
      dress(avatar, name, address);
      const choice = make("button", { type: "button", className: "choice", "data-address": address });
      choice.append(avatar, make("span", { text: name }));
      choice.addEventListener("click", () => {
        chosen = address;
        dialog.close();
      });
      return choice;
    });
    $("picker-list").replaceChildren(...choices);
    const form = dialog.querySelector("form");
    form.onsubmit = (event) => {
      event.preventDefault();
      chosen = addressOf($("picker-input").value.trim(), domain);
      if (chosen) dialog.close();
      else $("picker-error").textContent = "Write a name, 1001, +4930123456 or sip:1001@example.org";
    };
    dialog.addEventListener("close", () => resolve(chosen), { once: true });
    dialog.showModal();
    $("picker-input").focus();
  });
}

const TAGS = {
  echo: "Echo",
  noise: "Noise",
  delay: "Delay",
  dropped: "Cut out",
  one_way: "One of us heard nothing",
  low_volume: "Too quiet",
};

/** One tap for a good call; where it was not, what was wrong with it. */
export function askRating(call) {
  const dialog = $("rate");
  if (document.querySelector("dialog[open]")) return; // not over something that matters more
  const tags = new Set();
  let score = 0;
  const send = () => {
    call.rate(score, [...tags]).catch(() => {});
    dialog.close();
  };
  const stars = [1, 2, 3, 4, 5].map((n) => {
    const star = make("button", { type: "button", "aria-pressed": "false", "data-score": n });
    star.setAttribute("aria-label", `${n} ${n === 1 ? "star" : "stars"}`);
    star.append(icon("star"));
    star.addEventListener("click", () => {
      score = n;
      for (const other of stars) other.setAttribute("aria-pressed", String(Number(other.dataset.score) <= n));
      if (n >= 4) {
        send();
        return;
      }
      $("rate-title").textContent = "What was wrong?";
      $("rate-tags").hidden = $("rate-send").hidden = false;
      $("rate-tags").firstElementChild.focus();
    });
    return star;
  });
  const chips = Object.entries(TAGS).map(([tag, text]) => {
    const chip = make("button", { type: "button", text, "aria-pressed": "false", "data-tag": tag });
    chip.addEventListener("click", () => {
      if (!tags.delete(tag)) tags.add(tag);
      chip.setAttribute("aria-pressed", String(tags.has(tag)));
    });
    return chip;
  });
  $("rate-title").textContent = "How was the call?";
  $("rate-stars").replaceChildren(...stars);
  $("rate-tags").replaceChildren(...chips);
  $("rate-tags").hidden = $("rate-send").hidden = true;
  $("rate-send").onclick = send;
  dialog.showModal();
  stars[0].focus();
}

const CATEGORIES = {
  harassment: "Harassment",
  spam: "Spam or a sales call",
  threat: "A threat",
  minor_safety: "The safety of a minor",
  other: "Something else",
};

/** Report the last call with somebody; `send(category, block)` rejects where it cannot be. */
export function askReport(name, send) {
  const dialog = $("report");
  $("report-title").textContent = `Report ${name}`;
  $("report-error").textContent = "";
  $("report-block").checked = true;
  const choices = Object.entries(CATEGORIES).map(([category, text]) => {
    const choice = make("button", { type: "button", className: "choice", text, "data-category": category });
    choice.addEventListener("click", async () => {
      try {
        await send(category, $("report-block").checked);
        dialog.close();
      } catch (error) {
        $("report-error").textContent = errorText(error);
      }
    });
    return choice;
  });
  $("report-list").replaceChildren(...choices);
  dialog.showModal();
}

const WELCOMED = "dm-welcomed";

/** Once in a browser: what calls are, and when the microphone is asked for. */
export function welcome(wantsNotices) {
  if (localStorage.getItem(WELCOMED)) return;
  const dialog = $("welcome");
  $("welcome-ok").onclick = () => {
    if ($("welcome-notify").checked) wantsNotices();
    dialog.close();
  };
  dialog.addEventListener("close", () => localStorage.setItem(WELCOMED, "1"), { once: true });
  $("welcome-notify").closest("label").hidden = !("Notification" in window) || Notification.permission === "denied";
  dialog.showModal();
}
