/* What happens, in words that a person understands. */

export function endedText(call) {
  const name = call.peer.name;
  if (call.error) return errorText(call.error);
  switch (call.reason) {
    case "completed":
      return `Call ended · ${clock(call.durationS)}`;
    case "declined":
      return call.direction === "out" ? `${name} declined the call` : "You declined the call";
    case "busy":
      return call.direction === "out" ? `${name} is busy` : "You declined: busy";
    case "no_answer":
    case "unavailable":
      return call.direction === "out" ? `${name} did not answer` : "Missed call";
    case "cancelled":
      return call.direction === "out" ? "Call cancelled" : `${name} hung up`;
    case "unreachable":
      return `${name} cannot be reached at the moment`;
    case "not_allowed":
      return "This call is not allowed";
    case "rate_limited":
      return "Too many calls. Wait a little, then try again";
    case "media_failed":
      return "No sound could get through, so the call was ended";
    case "network_lost":
      return "The connection was lost";
    case "limit_reached":
      return "The call reached its longest length";
    case "moderated":
      return "The call was ended by moderation";
    case "answered_elsewhere":
      return "Answered on another device";
    default:
      return "Something went wrong on our side. Try again";
  }
}

const MICROPHONE = {
  denied: "The microphone is blocked. Allow it for this page in the browser, then try again",
  missing: "No microphone was found. Connect one, then try again",
  busy: "The microphone is in use by another program. Close it, then try again",
  insecure: "The browser gives the microphone only to secure pages (https or localhost)",
  failed: "The microphone could not be started",
};

export function errorText(error) {
  if (error.kind) return MICROPHONE[error.kind] ?? MICROPHONE.failed;
  switch (error.code) {
    case -32602:
      return "This address cannot be called";
    case 4401:
      return "Your sign-in is no longer valid. Sign in again";
    case 4403:
      return `This call is not allowed: ${error.message}`;
    case 4404:
      return "This call is already over";
    case 4409:
      return "That is not possible at this point of the call";
    case 4429:
      return `Too many calls. Try again in ${Math.max(1, Math.ceil(error.data?.retry_after_s ?? 1))} s`;
    case 4488:
      return "Your browser and the gateway found no common way to send sound";
    case 4503:
      return "The gateway is busy or about to restart. Try again in a moment";
    case 0:
      return "The gateway cannot be reached";
    default:
      return "Something went wrong on our side. Try again";
  }
}

export function stateText(call) {
  switch (call.state) {
    case "starting":
      return "Starting…";
    case "inviting":
      return "Calling…";
    case "ringing":
      return "Ringing…";
    case "incoming":
      return "Incoming call";
    case "accepting":
    case "accepted":
      return "Connecting…";
    case "connected": {
      const path = call.pc?.connectionState;
      if (path === "disconnected" || path === "failed") return "Poor connection. Reconnecting…";
      if (call.held) return `${call.peer.name} put you on hold`;
      if (call.peerMuted) return `${call.peer.name} is muted`;
      return "Connected";
    }
    default:
      return endedText(call);
  }
}

/** A call of the history: what it was, in one line. */
export function historyText(item) {
  if (item.connected_at !== undefined) {
    const what = item.direction === "in" ? "Incoming call" : "Outgoing call";
    return item.reason === undefined ? `${what} · now` : `${what} · ${clock(item.duration_s)}`;
  }
  if (item.missed) return "Missed call";
  if (item.direction === "in") {
    if (item.reason === "answered_elsewhere") return "Answered on another device";
    return item.reason === undefined ? "Incoming call" : "Declined call";
  }
  const why = {
    declined: "declined",
    busy: "busy",
    no_answer: "no answer",
    unavailable: "no answer",
    cancelled: "cancelled",
    unreachable: "not reachable",
  }[item.reason];
  return item.reason === undefined ? "Outgoing call" : `Outgoing call · ${why ?? "failed"}`;
}

export function clock(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  const two = (n) => String(n).padStart(2, "0");
  const [h, m] = [Math.floor(s / 3600), Math.floor(s / 60) % 60];
  return h ? `${h}:${two(m)}:${two(s % 60)}` : `${m}:${two(s % 60)}`;
}

export function when(epochSeconds) {
  const at = new Date(epochSeconds * 1000);
  const today = new Date().toDateString() === at.toDateString();
  const options = today
    ? { hour: "2-digit", minute: "2-digit" }
    : { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" };
  return at.toLocaleString([], options);
}
