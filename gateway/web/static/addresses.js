/* What people write for an address, and how an address is written for people. */

/** An address of the protocol, or null. `domain`: of softphones that are named by number alone. */
export function addressOf(text, domain) {
  if (/^(user|sip|tel|service):\S+$/.test(text)) return text;
  if (/^\+[\d\s()./-]+$/.test(text)) return `tel:+${text.replace(/\D/g, "")}`;
  if (/^[^\s@]+@[^\s@]+$/.test(text)) return `sip:${text}`;
  if (/^\d+$/.test(text)) return `sip:${text}@${domain}`;
  return /^[\w.-]{1,64}$/.test(text) ? `user:${text.toLowerCase()}` : null;
}

export function plain(address) {
  if (/^service:guest-/.test(address)) return "A telephone";
  return address.replace(/^user:/, "@").replace(/^(sip|tel|service):/, "");
}
