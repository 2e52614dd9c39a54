/* Figures and names as people read them. */

export const clock = (at) => (at ? new Date(at * 1000).toLocaleTimeString([], { hour12: false }) : "");
export const when = (at) => (at ? new Date(at * 1000).toLocaleString([], { hour12: false }) : "");
export const millis = (at) => `${clock(at)}.${String(Math.floor((at % 1) * 1000)).padStart(3, "0")}`;

export function length(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  const parts = [Math.floor(s / 3600), Math.floor(s / 60) % 60, s % 60];
  return (parts[0] ? parts : parts.slice(1)).map((n, i) => (i ? String(n).padStart(2, "0") : n)).join(":");
}

export const percent = (share, digits = 1) => (share === undefined ? "" : `${(share * 100).toFixed(digits)} %`);
export const figure = (value, digits = 1) => (value === undefined || value === null ? "" : value.toFixed(digits));
export const count = (n) => n.toLocaleString();

const WAYS = { app: "App", sip: "Softphone", phone: "Telephone", service: "Service" };
export const direction = (text) => (text ?? "").split("_to_").map((end) => WAYS[end] ?? end).join(" → ");
export const spaced = (text) => (text ?? "").replaceAll("_", " ");

export const who = (address, name) => (name && name !== address ? `${name} · ${address}` : address);
