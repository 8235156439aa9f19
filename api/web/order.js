/** Keeps the GPUs in their places for some seconds, and for as long as somebody points at them: nobody can read, or
 * click at, what jumps about every second. Pure. */

import { sorted } from "./choice.js";

const KEPT_SECONDS = 5;

export class Order {
  #places = new Map();
  #sort = null;
  #count = 0;
  #sortedAt = -Infinity;

  /** Return the entries in order. @param {boolean} isHeld whether somebody points at them */
  apply(entries, sort, stateOf, now, isHeld) {
    const isDue = now - this.#sortedAt >= KEPT_SECONDS && !isHeld;
    if (sort !== this.#sort || entries.length !== this.#count || isDue) {
      this.#places = new Map(sorted(entries, sort, stateOf).map((entry, place) => [entry.key, place]));
      this.#sort = sort;
      this.#count = entries.length;
      this.#sortedAt = now;
    }
    const place = (entry) => this.#places.get(entry.key) ?? Infinity;
    return [...entries].sort((one, other) => place(one) - place(other));
  }
}
