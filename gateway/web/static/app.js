/* The page: sign in, conversations, calls.  The protocol and the media are in dm-call.js.
 *
 * Elements that scripts and tests may rely on:
 *   #login-user (select, value = handle), #login-token (where there is no development sign-in),
 *   #login-button, #login-error, #logout-button
 *   #connection                      empty while the session is open, else what is the matter
 *   [data-thread="sip:1001@…"]       an entry of the list; #address-input, #address-open: any address
 *   #thread-name, #thread-items, .message, .history-item [data-call, data-direction, data-missed,
 *   data-reason], #history-more, #message-text, #message-send, #call-button, #notice
 *   #incoming (dialog), #incoming-name, #incoming-accept, #incoming-decline, #incoming-error
 *   #call-screen [data-state, data-reason], #call-name, #call-status, #call-timer, #call-mute
 *   [aria-pressed], #call-keypad-button, #call-keypad [data-digit="5"], #call-digits (sent),
 *   #call-heard (keys the other pressed), #call-audio, #call-speaker, #call-microphone, #call-hangup, #call-hold,
 *   #call-add, #call-transfer (#picker, #picker-input, #picker-ok), #call-minimise, #call-bar,
 *   #call-return, #call-quality [data-grade], #call-parties [data-party]
 *   #incoming-message, #incoming-texts; #rate [data-score], [data-tag], #rate-send
 *   #feed-button, #feed-cards .post, #settings-button, #settings-body, #thread-favourite, #thread-more,
 *   #menu-contact, #menu-block, #menu-report, #report [data-category], #welcome, #welcome-ok, #network
 *
 * For debugging, window.dmPage: `client` (DmClient), `call` (DmCall or null), `peerConnection`
 * and `remoteStream` of the call on the screen.
 */

import { CallView } from "./call-view.js";
import { DmClient, DmError } from "./dm-call.js";
import { $, dress, make } from "./dom.js";
import { openFeed } from "./feed.js";
import { wantNotices } from "./notices.js";
import { unlock } from "./ring.js";
import { SettingsView } from "./settings-view.js";
import { askRating, pick, welcome } from "./sheets.js";
import { Threads } from "./threads.js";
import { errorText } from "./words.js";

const REMEMBERED = "dm-user";

const threads = new Threads();
const view = new CallView();
const settings = new SettingsView();
let client = null;
let people = null;

window.dmPage = {
  get client() {
    return client;
  },
  get call() {
    return view.call;
  },
  get peerConnection() {
    return view.call?.pc ?? null;
  },
  get remoteStream() {
    return view.call?.remoteStream ?? null;
  },
};

// -- signing in

async function prepare() {
  const answer = await fetch("/app/dev-users").catch(() => null);
  people = answer?.ok ? await answer.json() : null;
  $("login-user-row").hidden = !people;
  $("login-token-row").hidden = Boolean(people);
  if (!answer) $("login-error").textContent = "The gateway cannot be reached";
  if (!people) {
    $("login-intro").textContent = "Paste an access token of the platform to sign in.";
    return;
  }
  $("login-user").replaceChildren(...people.users.map((u) => make("option", { value: u.handle, text: u.name })));
  const before = sessionStorage.getItem(REMEMBERED);
  if (before && people.users.some((u) => u.handle === before)) {
    $("login-user").value = before;
    await signIn();
  }
}

async function developmentToken(user) {
  const answer = await fetch("/app/dev-login", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ user }),
  });
  if (answer.status >= 500) throw new Error("try again");
  if (!answer.ok) throw new DmError(4401, "no token");
  return (await answer.json()).token;
}

async function signIn() {
  const user = $("login-user").value;
  const pasted = $("login-token").value.trim();
  $("login-button").disabled = true;
  $("login-error").textContent = "";
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  client = new DmClient({
    url: `${scheme}://${location.host}/v1/dm`,
    token: people ? () => developmentToken(user) : async () => pasted,
  });
  client.addEventListener("state", () => showConnection());
  client.addEventListener("incoming", ({ detail }) => incoming(detail));
  client.addEventListener("ended", () => threads.refresh());
  try {
    await client.start();
    if (people) sessionStorage.setItem(REMEMBERED, user);
    showShell();
  } catch (error) {
    client = null;
    $("login-error").textContent = errorText(error);
  } finally {
    $("login-button").disabled = false;
  }
}

function showShell() {
  $("login").hidden = true;
  $("shell").hidden = $("title").hidden = false;
  $("me-name").textContent = client.user.name;
  dress($("me-avatar"), client.user.name, client.user.address);
  threads.start(client, people);
  welcome(wantNotices);
}

/** Show the feed or the settings, or with `null` the conversations. */
function look(at) {
  for (const id of ["feed", "settings"]) $(id).hidden = id !== at;
  $("shell").classList.toggle("in-view", at !== null);
  for (const id of ["feed", "settings"]) $(`${id}-button`).toggleAttribute("aria-current", id === at);
  if (at) $(`${at}-title`).focus({ preventScroll: true });
}

function signOut() {
  sessionStorage.removeItem(REMEMBERED);
  look(null);
  client?.stop();
  client = null;
  $("shell").hidden = $("title").hidden = true;
  $("login").hidden = false;
  $("login-user").focus();
}

function showConnection() {
  if (!client) return;
  $("connection").textContent = {
    open: "",
    connecting: "Connecting…",
    reconnecting: "Reconnecting…",
    displaced: "Signed in elsewhere",
    refused: "Signed out",
    offline: "",
  }[client.state];
  $("shell").dataset.connection = client.state;
  const lost = client.state === "reconnecting";
  $("network").hidden = !lost;
  $("network").textContent = lost ? "The network is gone. Calls go on as soon as it is back…" : "";
  if (client.state === "refused" && $("login").hidden) {
    signOut();
    $("login-error").textContent = errorText({ code: 4401 });
  }
}

// -- calls

function incoming(call) {
  const name = threads.nameOf(call.peer.address);
  if (name) call.peer = { ...call.peer, name };
  else if (!call.peer.name) call.peer = { ...call.peer, name: call.peer.address.replace(/^\w+:/, "") };
  const opens = () => {
    if (call.state !== "accepted" && call.state !== "connected") return;
    call.removeEventListener("change", opens);
    threads.open(call.peer.address, call.peer.name);
  };
  call.addEventListener("change", opens);
  view.offer(call);
}

function callOut() {
  const { current } = threads;
  if (!current || view.busy) return;
  $("notice").textContent = "";
  view.show(client.call(current.address, { name: current.name }));
}

view.addEventListener("over", ({ detail: call }) => {
  threads.changed(call.peer.address, call.peer.name);
  const unanswered = ["no_answer", "cancelled", "unavailable"].includes(call.reason);
  if (call.direction === "in" && unanswered) threads.missed(call.peer.address);
});
view.addEventListener("closed", ({ detail: { call, text } }) => {
  $("notice").textContent = text;
  if (threads.current) $("call-button").focus({ preventScroll: true });
  if (call?.connectedAt && call.id) askRating(call);
});
view.addEventListener("say", ({ detail: { address, text } }) => threads.say(address, text));
view.choose = ({ title, verb }) => {
  const { call } = view;
  const people = threads.people([call.peer.address, ...call.others.keys()]);
  return pick({ title, verb, people, domain: threads.domain });
};
threads.addEventListener("open", () => look(null));
settings.addEventListener("logout", signOut);
$("feed-button").addEventListener("click", () => {
  openFeed();
  look("feed");
});
$("settings-button").addEventListener("click", () => {
  settings.open(client, threads.domain);
  look("settings");
});
for (const back of document.querySelectorAll("[data-close]")) {
  back.addEventListener("click", () => look(null));
}

$("login-form").addEventListener("submit", (event) => {
  event.preventDefault();
  unlock();
  signIn();
});
$("call-button").addEventListener("click", callOut);
window.addEventListener("pagehide", () => client?.stop());
window.addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload(); // taken out of the browser's cache: its session is over
});

prepare();
