/** What a card shows when it is opened: every reading, and the processes. It is made when it is opened first. */

import { arrange, element, mark, say } from "./element.js";
import { written } from "./units.js";
import { briefReason, wholeReason } from "./wording.js";

const PROCESS_COLUMNS = [
  ["PID", "pid", "number"],
  ["User", "user", "text"],
  ["Process", "name", "text"],
  ["Memory", "memory_used_bytes", "bytes"],
  ["SM", "utilization_sm_percent", "percent"],
];

/** A part of a card that can be folded. */
class Fold {
  #summary = element("summary");

  constructor(kind) {
    this.body = element("div", { class: "scrolled", tabindex: "0", role: "group" });
    this.node = element("details", { class: kind }, this.#summary, this.body);
    this.node.addEventListener("toggle", () => this.opened());
  }

  get isOpen() {
    return this.node.open;
  }

  title(text) {
    say(this.#summary, text);
    mark(this.body, "aria-label", text);
  }

  opened() {}
}

/** Every reading by its title, with its value or the reason why there is none. */
export class AllReadings extends Fold {
  #catalogue;
  #values = new Map();
  #gpu;
  #isShown;

  /** @param {import("./catalogue.js").Catalogue} catalogue */
  constructor(catalogue) {
    super("all");
    this.#catalogue = catalogue;
    this.title("All readings");
  }

  update(gpu, isShown) {
    this.#gpu = gpu;
    this.#isShown = isShown;
    if (this.isOpen) this.opened();
  }

  opened() {
    if (this.#values.size === 0) this.#make();
    for (const [told, node] of this.#values) this.#show(told, node);
  }

  #make() {
    const told = [...this.#catalogue.identity, ...this.#catalogue.readings];
    const rows = told.map((one) => {
      const value = element("data");
      this.#values.set(one, value);
      const cell = element("td", { "data-reading": one.name }, value);
      return element("tr", {}, element("th", { scope: "row", title: one.meaning }, one.title), cell);
    });
    arrange(this.body, [element("table", {}, element("tbody", {}, ...rows))]);
  }

  #show({ name, unit }, node) {
    const value = this.#isShown || !unit ? (this.#gpu[name] ?? null) : null;
    const reason = this.#isShown ? wholeReason(this.#gpu.unavailable[name]) : "no current reading";
    say(node, value === null ? reason : written(detailed(name, value), unit));
    mark(node, "value", value === null ? "" : typeof value === "object" ? JSON.stringify(value) : String(value));
    mark(node, "data-is", value === null ? "missing" : null);
  }
}

/** Who uses the GPU. */
export class Processes extends Fold {
  #processes = [];

  constructor() {
    super("processes");
  }

  update(gpu, isShown) {
    const processes = isShown ? gpu.processes : null;
    this.#processes = processes ?? [];
    this.title(processes ? `Processes: ${processes.length}` : `Processes: ${missing(gpu, isShown)}`);
    if (this.isOpen) this.opened();
  }

  opened() {
    const head = PROCESS_COLUMNS.map(([title]) => element("th", { scope: "col" }, title));
    const rows = this.#processes.map((process) => element("tr", {}, ...PROCESS_COLUMNS.map(cell(process))));
    const table = element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows));
    arrange(this.body, [rows.length ? table : element("p", {}, "There is none to show.")]);
  }
}

function missing(gpu, isShown) {
  return isShown ? briefReason(gpu.unavailable.processes) : "no current reading";
}

function cell(process) {
  return ([, name, unit]) => {
    const attributes = name === "name" && process.command ? { title: process.command } : {};
    return element("td", { "data-of": name, ...attributes }, written(process[name], unit));
  };
}

/** Return a reading that has parts of its own as a list of texts. */
function detailed(name, value) {
  if (name === "mig_instances") {
    return value.map((one) => `${one.name ?? one.uuid}: ${written(one.memory_used_bytes, "bytes")} used`);
  }
  if (name === "xid_errors") return Object.entries(value.counts).map(([code, count]) => `XID ${code}: ${count}`);
  if (name === "processes") return value.map((one) => `${one.pid} ${one.name ?? ""}`.trim());
  return value;
}
