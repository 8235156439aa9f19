/** What the reader chooses: words to search for, the order, cards or tiles. The address has it too, to be shared. */

import { SORTS } from "./choice.js";
import { element, say } from "./element.js";
import { tally } from "./states.js";
import { counted } from "./units.js";

const USUAL = { search: "", sort: "host", view: "auto" };

export class Toolbar {
  #form;
  #summary;

  /** @param {HTMLFormElement} form @param {Element} summary @param {() => void} changed */
  constructor(form, summary, changed) {
    this.#form = form;
    this.#summary = summary;
    form.elements.sort.append(...Object.entries(SORTS).map(([value, { title }]) => element("option", { value }, title)));
    this.#read();
    form.addEventListener("submit", (event) => event.preventDefault());
    for (const kind of ["input", "change"]) {
      form.addEventListener(kind, () => {
        this.#write();
        changed();
      });
    }
    addEventListener("hashchange", () => {
      this.#read();
      changed();
    });
  }

  /** What is chosen. @returns {{search: string, sort: string, view: "auto" | "cards" | "tiles"}} */
  get choice() {
    const { search, sort, view } = this.#form.elements;
    return { search: search.value, sort: sort.value, view: view.value };
  }

  /**
   * Say how all are.
   * @param {import("./states.js").State[]} hosts
   * @param {import("./states.js").State[]} gpus
   * @param {number} shown how many GPUs are shown
   */
  summarize(hosts, gpus, shown) {
    const counts = tally(gpus).map(([state, count]) => `${count} ${state.name}`);
    const ill = tally(hosts).filter(([state]) => state.rank > 1).map(([state, count]) => `${counted(count, "host")} ${state.name}`);
    const whole = `${counted(gpus.length, "GPU")} on ${counted(hosts.length, "host")}`;
    const some = shown === gpus.length ? "" : `; ${shown} shown`;
    say(this.#summary, [whole, [...counts, ...ill].join(", ")].filter(Boolean).join(": ") + some);
  }

  #read() {
    const told = { ...USUAL, ...Object.fromEntries(new URLSearchParams(location.hash.slice(1))) };
    for (const name of Object.keys(USUAL)) {
      this.#form.elements[name].value = told[name];
      // A select is left without a choice by what it does not know.
      if (!this.#form.elements[name].value) this.#form.elements[name].value = USUAL[name];
    }
  }

  #write() {
    const chosen = Object.entries(this.choice).filter(([name, value]) => value !== USUAL[name]);
    history.replaceState(null, "", `#${new URLSearchParams(chosen)}`);
  }
}
