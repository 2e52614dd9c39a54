/* What is just now: rows of the gateway, kept up by asking once a second for what has changed. */

import { get } from "./server.js";

const EVERY_MS = 1000;
const SLOWEST_MS = 15000;

export class Live {
  /** `onChange()` after each answer; `onFailed(error)` when there is none. */
  constructor(onChange, onFailed) {
    this.kinds = new Map();
    this.serial = 0;
    this.at = 0;
    this.load = new Map();
    this.used = new Map();
    this.onChange = onChange;
    this.onFailed = onFailed;
    this.wait = EVERY_MS;
    this.stopped = true;
  }

  start() {
    if (!this.stopped) return;
    this.stopped = false;
    this.look();
  }

  stop() {
    this.stopped = true;
    clearTimeout(this.timer);
  }

  async look() {
    try {
      this.take(await get("now", { since: this.serial }));
      this.wait = EVERY_MS;
      if (!this.stopped) this.onChange();
    } catch (error) {
      this.wait = Math.min(SLOWEST_MS, this.wait * 2);
      if (!this.stopped) this.onFailed(error);
    }
    if (!this.stopped) this.timer = setTimeout(() => this.look(), this.wait);
  }

  take(told) {
    if (told.full) this.kinds.clear();
    for (const [kind, id, row] of told.rows) {
      if (kind === "worker") this.measure(id, row, told.at);
      this.of(kind).set(id, { id, ...row });
    }
    for (const [kind, id] of told.gone) {
      this.of(kind).delete(id);
      this.used.delete(id);
    }
    this.serial = told.serial;
    this.at = told.at;
  }

  /** Share of one core that a worker used since it was told last. */
  measure(id, row, at) {
    const before = this.used.get(id);
    if (before && at > before.at) this.load.set(id, (row.cpu_s - before.cpu_s) / (at - before.at));
    this.used.set(id, { cpu_s: row.cpu_s, at });
  }

  of(kind) {
    if (!this.kinds.has(kind)) this.kinds.set(kind, new Map());
    return this.kinds.get(kind);
  }

  rows(kind) {
    return [...this.of(kind).values()];
  }

  get here() {
    return this.of("gateway").get("here") ?? { calls: 0, max_calls: 0, legs: 0, max_legs: 0, not_ready: [] };
  }
}
