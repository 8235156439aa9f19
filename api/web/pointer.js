/** Points at a moment of the last hour, on all lines of a card at once: with the mouse, a finger, or the arrow keys. */

import { element, mark, say } from "./element.js";
import { STEP_SECONDS, STEPS } from "./ring.js";
import { WIDTH } from "./sparkline.js";
import { timeOfDay } from "./units.js";

const UNUSED = "The last hour: point at it, or press ← and →";
const KEYS = { ArrowLeft: -1, ArrowRight: 1, PageDown: -20, PageUp: 20, Home: -STEPS, End: STEPS };

export class Pointer {
  #rows;
  #place = null;
  #lastStep = 0;

  /** @param {import("./row.js").Row[]} rows */
  constructor(rows) {
    this.#rows = rows;
    const range = { "aria-valuemin": "0", "aria-valuemax": String(STEPS - 1), "aria-valuenow": String(STEPS - 1) };
    const label = "Moment of the last hour";
    this.node = element("p", { class: "pointer", role: "slider", tabindex: "0", "aria-label": label, ...range }, UNUSED);
    mark(this.node, "aria-valuetext", "now");
    this.node.addEventListener("keydown", (event) => this.#press(event));
    this.node.addEventListener("blur", () => this.#point(null));
    for (const row of rows) this.#follow(row.sparkline.svg);
  }

  /** Take the number of the step that the hour ends with. */
  endsWith(step) {
    this.#lastStep = step;
    if (this.#place !== null) this.#point(this.#place);
  }

  #follow(svg) {
    const move = (event) => {
      const { left, width } = svg.getBoundingClientRect();
      this.#point(bounded(Math.round(((event.clientX - left) / width) * WIDTH)));
    };
    svg.addEventListener("pointermove", move);
    svg.addEventListener("pointerdown", move);
    svg.addEventListener("pointerleave", () => this.#point(null));
  }

  #press(event) {
    if (event.key === "Escape") this.#point(null);
    if (!(event.key in KEYS)) return;
    event.preventDefault();
    this.#point(bounded((this.#place ?? STEPS - 1) + KEYS[event.key]));
  }

  #point(place) {
    this.#place = place;
    const texts = this.#rows.map((row) => row.sparkline.point(place, (value) => row.write(value)));
    if (place === null) {
      say(this.node, UNUSED);
      mark(this.node, "aria-valuetext", "now");
      return;
    }
    const at = timeOfDay((this.#lastStep - STEPS + 1 + place) * STEP_SECONDS);
    say(this.node, `At ${at}`);
    mark(this.node, "aria-valuenow", place);
    mark(this.node, "aria-valuetext", `${at}: ${texts.join(", ")}`);
  }
}

function bounded(place) {
  return Math.min(STEPS - 1, Math.max(0, place));
}
