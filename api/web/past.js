/** The last hour of the GPUs that have a card: from the API's history once, and then from the stream. */

import { Ring, STEP_SECONDS, STEPS } from "./ring.js";

/** The readings that are drawn over time. */
export const DRAWN = [
  "utilization_gpu_percent",
  "memory_used_bytes",
  "temperature_gpu_celsius",
  "power_draw_watts",
];

export class Past {
  #api;
  #changed;
  /** By the entry's key, its rings by reading. @type {Map<string, Map<string, Ring>>} */
  #rings = new Map();
  /** Whose history is to be asked for, by host. @type {Map<string, Set<string>>} */
  #wanted = new Map();
  #isAsking = false;

  /** @param {() => void} changed is called when there is more to draw */
  constructor(api, changed) {
    this.#api = api;
    this.#changed = changed;
  }

  /** Return the rings of an entry's GPU; who asks for the first time has its history fetched. */
  of(entry) {
    if (!this.#rings.has(entry.key)) {
      this.#rings.set(entry.key, new Map(DRAWN.map((reading) => [reading, new Ring()])));
      this.#want(entry);
    }
    return this.#rings.get(entry.key);
  }

  /** Take the readings of a snapshot. */
  add(entry) {
    const rings = this.#rings.get(entry.key);
    if (!rings || entry.host.sampledAt === null) return;
    for (const [reading, ring] of rings) ring.add(entry.host.sampledAt, entry.gpu[reading]);
  }

  /** Fetch what was missed while there was no connection. */
  reload(entries) {
    for (const entry of entries) {
      if (this.#rings.has(entry.key)) this.#want(entry);
    }
  }

  #want(entry) {
    if (!entry.gpu.uuid) return;
    const uuids = this.#wanted.get(entry.host) ?? new Set();
    this.#wanted.set(entry.host, uuids.add(entry.gpu.uuid));
    this.#askSoon();
  }

  /** Ask host by host, once all cards of this moment have said what they want. */
  async #askSoon() {
    if (this.#isAsking) return;
    this.#isAsking = true;
    await Promise.resolve();
    while (this.#wanted.size) {
      const [[host, uuids]] = this.#wanted;
      this.#wanted.delete(host);
      await this.#ask(host, uuids);
    }
    this.#isAsking = false;
  }

  async #ask(host, uuids) {
    const query = { host: host.name, reading: DRAWN.join(","), step: STEP_SECONDS, gpu: [...uuids].join(",") };
    if (host.sampledAt !== null) query.since = host.sampledAt - STEP_SECONDS * STEPS;
    try {
      this.#fill(host, await this.#api.history(query));
    } catch {
      // The lines then begin now, which shows for itself; the connection says what else is wrong.
    }
  }

  #fill(host, body) {
    for (const { uuid, reading, values } of body.series) {
      this.#rings.get(`${host.name}/${uuid}`)?.get(reading)?.fill(body.timestamps, values);
    }
    this.#changed();
  }
}
