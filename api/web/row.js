/** One line of a card: a reading's value, its bar, what there is to remark, and the last hour. */

import { Bar } from "./bar.js";
import { element, mark, say } from "./element.js";
import { remark } from "./lines.js";
import { Sparkline } from "./sparkline.js";
import { NONE, written } from "./units.js";

export class Row {
  #line;
  #catalogue;
  #value = element("data", { class: "value" });
  #remark = element("span", { class: "remark" });
  #bar;

  /** @param {import("./lines.js").Line} line @param {import("./catalogue.js").Catalogue} catalogue */
  constructor(line, catalogue) {
    this.#line = line;
    this.#catalogue = catalogue;
    const { title, meaning } = catalogue.of(line.reading);
    this.#bar = new Bar(line.parts, 2);
    this.sparkline = new Sparkline(`${title}, the last hour`);
    this.node = element(
      "div",
      { class: `line ${line.parts[0]}`, "data-reading": line.reading },
      element("dt", { title: meaning }, title),
      element("dd", { class: "figure" }, this.#value),
      element("dd", { class: "now" }, this.#bar.node, this.#remark),
      element("dd", { class: "past" }, this.sparkline.node),
    );
  }

  get reading() {
    return this.#line.reading;
  }

  /** Show a GPU's readings; `isShown` says whether they are current. */
  update(gpu, isShown) {
    const value = isShown ? gpu[this.#line.reading] : null;
    say(this.#value, this.write(value));
    mark(this.#value, "value", value ?? "");
    say(this.#remark, remark(this.#line, gpu, (name) => this.#catalogue.of(name).title, isShown));
    mark(this.node, "data-is", value === null ? "missing" : this.#line.isHigh(gpu) ? "high" : null);
    if (value === null) this.#bar.draw(0, []);
    else this.#bar.draw(this.#high(gpu), this.#line.shares(gpu), this.#line.limits(gpu));
  }

  /** Draw the last hour. @param {(number | null)[]} values */
  draw(gpu, values) {
    this.sparkline.draw(values, this.#high(gpu) ?? Math.max(1, ...values));
  }

  /** Return a value of the reading in words; a mean is rounded as the reading is. */
  write(value) {
    if (value === null || value === undefined) return NONE;
    const { unit } = this.#catalogue.of(this.reading);
    return written(unit === "watts" ? value : Math.round(value), unit);
  }

  #high(gpu) {
    return this.#line.high(gpu);
  }
}
