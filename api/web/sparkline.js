/**
 * The last hour of one reading, as a line, and the value at the place that is pointed at.
 *
 * It is drawn here and not by a library: what is needed is one line without axes, and a page without a build step could
 * only carry a copy of one.
 */

import { curve, HEIGHT, level, nearest } from "./curve.js";
import { drawn, element, mark, say, show } from "./element.js";
import { STEPS } from "./ring.js";

/** With some room after the last value, so that it is seen as such. */
export const WIDTH = STEPS + 3;

export class Sparkline {
  #area = drawn("path", { class: "area" });
  #line = drawn("path", { class: "stroke" });
  #cursor = drawn("line", { class: "cursor", y1: "0", y2: String(HEIGHT), visibility: "hidden" });
  #said = element("span", { class: "pointed", hidden: "" });
  #values = [];
  #high = 1;

  /** @param {string} label names it to those who do not see it */
  constructor(label) {
    const box = { viewBox: `0 -6 ${WIDTH} ${HEIGHT + 6}`, preserveAspectRatio: "none", role: "img" };
    this.svg = drawn("svg", { class: "curve", ...box, "aria-label": label }, this.#area, this.#line, this.#cursor);
    this.node = element("div", { class: "spark" }, this.svg, this.#said);
  }

  /** Draw the values, one for each step of the hour, with `high` at the top. */
  draw(values, high) {
    this.#values = values;
    this.#high = high;
    const { line, area } = curve(values, high);
    mark(this.#line, "d", line);
    mark(this.#area, "d", area);
  }

  /** Show the value at a step, 0 to STEPS - 1, and return it; null, or no value there, shows none. */
  point(step, write) {
    const at = step === null ? null : nearest(this.#values, step);
    mark(this.#cursor, "visibility", step === null ? "hidden" : "visible");
    show(this.#said, step !== null);
    if (step === null) return null;
    mark(this.#cursor, "x1", at ?? step);
    mark(this.#cursor, "x2", at ?? step);
    mark(this.#cursor, "y1", at === null ? 0 : level(this.#values[at], this.#high));
    const text = at === null ? "no value" : write(this.#values[at]);
    say(this.#said, text);
    return text;
  }
}
