/** The smaller readings of a card, as pairs of a title and a value. */

import { element, mark, say } from "./element.js";
import { written } from "./units.js";
import { briefReason, clockEvents, isAlarming, wholeReason } from "./wording.js";

/** By reading, the one that is its greatest, if there is any. */
const SHOWN = {
  clock_graphics_megahertz: "clock_max_graphics_megahertz",
  clock_sm_megahertz: "clock_max_sm_megahertz",
  clock_memory_megahertz: "clock_max_memory_megahertz",
  temperature_memory_celsius: null,
  fan_speed_percent: null,
  performance_state: null,
  clock_event_reasons: null,
};

export class Facts {
  #catalogue;
  #values = new Map();

  /** @param {import("./catalogue.js").Catalogue} catalogue */
  constructor(catalogue) {
    this.#catalogue = catalogue;
    const pairs = Object.keys(SHOWN).map((reading) => this.#pair(reading));
    this.node = element("dl", { class: "facts" }, ...pairs);
  }

  /** Show a GPU's readings; `isShown` says whether they are current. */
  update(gpu, isShown) {
    for (const [reading, node] of this.#values) {
      say(node, isShown ? this.#written(gpu, reading) : "—");
      const reason = isShown && gpu[reading] === null ? wholeReason(gpu.unavailable[reading]) : null;
      mark(node, "title", reason);
      mark(node, "data-is", this.#tone(gpu, reading, isShown));
    }
  }

  #pair(reading) {
    const { title, meaning } = this.#catalogue.of(reading);
    const value = element("dd");
    this.#values.set(reading, value);
    return element("div", { "data-reading": reading }, element("dt", { title: meaning }, title), value);
  }

  #tone(gpu, reading, isShown) {
    if (!isShown || gpu[reading] === null) return "missing";
    return reading === "clock_event_reasons" && isAlarming(gpu[reading]) ? "high" : null;
  }

  #written(gpu, reading) {
    const value = gpu[reading];
    if (value === null) return briefReason(gpu.unavailable[reading]);
    if (reading === "clock_event_reasons") return clockEvents(value);
    const most = SHOWN[reading] && gpu[SHOWN[reading]];
    const text = written(value, this.#catalogue.of(reading).unit);
    return most ? text.replace(/^\d+/, (number) => `${number} of ${most}`) : text;
  }
}
