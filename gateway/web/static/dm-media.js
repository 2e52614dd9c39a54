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

/** The microphone's stream, or a MicrophoneError; without `deviceId` the one the browser prefers. */
export async function microphone(deviceId = null) {
  if (!navigator.mediaDevices) throw new MicrophoneError("insecure");
  const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
  if (deviceId) audio.deviceId = { exact: deviceId };
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

const NARROW = new Set(["slow-2g", "2g", "3g"]);

/** Whether the browser says that its network is slow, or that each byte is paid for. */
export function isNarrow(connection = navigator.connection) {
  return Boolean(connection && (connection.saveData || NARROW.has(connection.effectiveType)));
}

/** The offer with the bandwidth that there is, in kbit/s: the gateway answers with the thriftiest codec. */
function bounded(sdp, kbps) {
  return sdp.replace(/^(m=audio [^\r\n]*\r\nc=[^\r\n]*\r\n)/m, `$1b=AS:${kbps}\r\n`);
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
  return isNarrow() ? bounded(pc.localDescription.sdp, 40) : pc.localDescription.sdp;
}

/** How loud a stream is, 0 to 1, asked for as often as wanted; `close` when done. */
export function levelOf(stream) {
  const context = new AudioContext();
  const analyser = new AnalyserNode(context, { fftSize: 512 });
  const source = context.createMediaStreamSource(stream);
  source.connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  return {
    get value() {
      analyser.getFloatTimeDomainData(samples);
      const power = samples.reduce((sum, x) => sum + x * x, 0) / samples.length;
      return Math.min(1, Math.max(0, (10 * Math.log10(power + 1e-9) + 60) / 50));
    },
    close() {
      source.disconnect();
      context.close().catch(() => {});
    },
  };
}
