/* Small words for the document. */

export const $ = (id) => document.getElementById(id);

/** An element; text is always text, never markup. */
export function make(tag, { text, className, children = [], ...attributes } = {}) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** The initials of a name, on one of six colours that the address chooses. */
export function dress(avatar, name, address) {
  const words = name.replace(/^Softphone\s+/, "").split(/\s+/).filter(Boolean);
  const number = /^\+?\d+$/.test(words[0] ?? "");
  avatar.textContent = number ? words[0].slice(-2) : words.slice(0, 2).map((w) => w[0]).join("").toUpperCase();
  let hash = 0;
  for (const c of address) hash = (hash * 31 + c.codePointAt(0)) % 6;
  avatar.dataset.hue = String(hash);
}
