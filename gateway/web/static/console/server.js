/* What the page asks of the gateway. */

export class Failed extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(`/console/api/${path}`, { credentials: "same-origin", ...options });
  } catch {
    throw new Failed(0, "The gateway does not answer.");
  }
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Failed(answer.status, told.error ?? `The gateway answered ${answer.status}.`);
  return told;
}

export const get = (path, query = {}) => {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const text = new URLSearchParams(given).toString();
  return ask(text ? `${path}?${text}` : path);
};

export const post = (path, body = {}) =>
  ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
