/* What a call needs of the browser: the microphone, and an offer with its candidates. */

const GATHERING_MS = 1_500;

/** Why there is no microphone: `kind` is denied, missing, busy, insecure or failed. */
export class MicrophoneError extends Error {
  constructor(kind, cause) {
    super(`microphone ${kind}`, { cause });
    this.name = "MicrophoneError";
    this.kind = kind;
  }
}

/** The microphone's stream, or a MicrophoneError. */
export async function microphone() {
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
export async function gathered(pc, offer) {
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
