/* The sounds the page makes itself: a ringtone and the feedback of keys.  No file is fetched. */

let context = null;

function audio() {
  context ??= new AudioContext();
  if (context.state === "suspended") context.resume().catch(() => {});
  return context;
}

function note(at, hz, seconds, loudness) {
  const ctx = audio();
  const tone = ctx.createOscillator();
  const gain = ctx.createGain();
  tone.type = "sine";
  tone.frequency.value = hz;
  gain.gain.setValueAtTime(0, at);
  gain.gain.linearRampToValueAtTime(loudness, at + 0.015);
  gain.gain.setValueAtTime(loudness, at + seconds - 0.05);
  gain.gain.linearRampToValueAtTime(0, at + seconds);
  tone.connect(gain).connect(ctx.destination);
  tone.start(at);
  tone.stop(at + seconds + 0.02);
}

let ringing = 0;

/** Ring until stopped; ringing already goes on. */
export function startRinging() {
  if (ringing) return;
  const phrase = () => {
    const at = audio().currentTime + 0.05;
    for (const [i, hz] of [659, 784, 988, 784].entries()) note(at + i * 0.22, hz, 0.24, 0.12);
  };
  phrase();
  ringing = setInterval(phrase, 2_400);
}

export function stopRinging() {
  clearInterval(ringing);
  ringing = 0;
}

const ROWS = [697, 770, 852, 941];
const COLUMNS = [1209, 1336, 1477, 1633];
const KEYS = ["123A", "456B", "789C", "*0#D"];

/** What a telephone's key sounds like (ITU-T Q.23); only the presser hears this. */
export function keySound(digit) {
  const row = KEYS.findIndex((keys) => keys.includes(digit));
  if (row < 0) return;
  const at = audio().currentTime;
  note(at, ROWS[row], 0.12, 0.05);
  note(at, COLUMNS[KEYS[row].indexOf(digit)], 0.12, 0.05);
}

/** Browsers let sound begin only with a gesture: call this from one. */
export function unlock() {
  audio();
}
