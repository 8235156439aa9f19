/** One of very many GPUs: a button that tells the most important, and opens the card. */

import { Bar } from "./bar.js";
import { element, mark, say } from "./element.js";
import { troubles } from "./trouble.js";
import { NONE, counted, written } from "./units.js";

export class Tile {
  #who = element("span", { class: "who" });
  #host = element("span", { class: "host" });
  #load = element("data", { class: "load" });
  #bar = new Bar(["memory", "reserved"]);
  #free = element("span", { class: "free" });
  #heat = element("span", { class: "heat" });
  #entry = null;

  #catalogue;
  #wrong = element("span", { class: "wrong" });

  /** @param {(entry: object) => void} open shows a GPU's card */
  constructor(open, catalogue) {
    this.#catalogue = catalogue;
    const lines = [this.#who, this.#load, this.#host, this.#bar.node, this.#free, this.#heat, this.#wrong];
    this.node = element("button", { class: "tile", type: "button" }, ...lines.flatMap((line) => [line, " "]));
    this.node.addEventListener("click", () => open(this.#entry));
  }

  /** Show a GPU, which is in that state. @param {import("./states.js").State} state */
  update(entry, state) {
    const { gpu, host } = entry;
    this.#entry = entry;
    const isShown = state.name === "ok";
    const load = isShown ? gpu.utilization_gpu_percent : null;
    say(this.#who, `${state.sign} gpu-${gpu.index}`);
    say(this.#host, host.name);
    say(this.#load, isShown ? written(load, "percent") : state.name);
    mark(this.#load, "value", load ?? "");
    say(this.#free, isShown ? `${written(gpu.memory_free_bytes, "bytes")} free` : NONE);
    say(this.#heat, isShown ? written(gpu.temperature_gpu_celsius, "celsius") : NONE);
    const parts = isShown ? [gpu.memory_used_bytes, gpu.memory_reserved_bytes] : [];
    this.#bar.draw(gpu.memory_total_bytes, parts);
    const wrong = isShown ? troubles(gpu, (name) => this.#catalogue.of(name)) : [];
    say(this.#wrong, wrong.length > 0 ? `⚠ ${counted(wrong.length, "trouble")}` : "");
    mark(this.node, "title", wrong.length > 0 ? wrong.join("\n") : null);
    mark(this.node, "data-tone", wrong.length > 0 ? "warn" : state.tone);
    mark(this.node, "data-state", state.name);
    mark(this.node, "data-gpu", gpu.uuid ?? `index ${gpu.index}`);
    mark(this.node, "data-is", isShown && gpu.utilization_gpu_percent >= BUSY_PERCENT ? "busy" : null);
  }
}

/** From here on a tile is painted as busy. */
const BUSY_PERCENT = 80;
