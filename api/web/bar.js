/** A bar: parts of a whole, and marks at its limits. What it shows stands beside it in words. */

import { drawn, mark } from "./element.js";

const WHOLE = 100;

export class Bar {
  #parts;
  #limits;

  /** @param {string[]} kinds the parts' classes, from left to right @param {number} limits how many marks there are */
  constructor(kinds, limits = 0) {
    this.#parts = kinds.map((kind) => drawn("rect", { class: `part ${kind}`, y: "0", height: "1" }));
    this.#limits = Array.from({ length: limits }, () => drawn("line", { class: "limit", y1: "0", y2: "1" }));
    const box = { class: "bar", viewBox: `0 0 ${WHOLE} 1`, preserveAspectRatio: "none", "aria-hidden": "true" };
    this.node = drawn("svg", box, ...this.#parts, ...this.#limits);
  }

  /** Show the parts of `whole`, and marks at these limits; null is left out. */
  draw(whole, parts, limits = []) {
    let left = 0;
    this.#parts.forEach((part, index) => {
      const width = share(parts[index], whole, WHOLE - left);
      mark(part, "x", left);
      mark(part, "width", width);
      left += width;
    });
    this.#limits.forEach((line, index) => place(line, share(limits[index], whole, WHOLE)));
  }
}

function place(line, at) {
  mark(line, "x1", at);
  mark(line, "x2", at);
  mark(line, "visibility", at === 0 ? "hidden" : "visible");
}

/** Return the value's share, rounded to what can be seen, and at most what is left. */
function share(value, whole, most) {
  if (!value || !whole) return 0;
  return Math.min(most, Math.round((value / whole) * WHOLE * 10) / 10);
}
