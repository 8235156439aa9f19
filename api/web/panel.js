/** A card by itself, above the tiles. */

import { drawPast } from "./board.js";
import { Card } from "./card.js";
import { arrange } from "./element.js";
import { entryState } from "./fleet.js";
import { GPU_STATES } from "./states.js";

export class Panel {
  #dialog;
  #catalogue;
  #past;
  #entry = null;
  #card = null;

  /** @param {HTMLDialogElement} dialog with a place of the class `place` */
  constructor(dialog, catalogue, past) {
    this.#dialog = dialog;
    this.#catalogue = catalogue;
    this.#past = past;
    dialog.addEventListener("close", () => (this.#entry = null));
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  }

  /** Show a GPU's card until the reader closes it. */
  open(entry) {
    this.#entry = entry;
    this.#card = new Card(this.#catalogue);
    arrange(this.#dialog.querySelector(".place"), [this.#card.node]);
    this.#dialog.showModal();
  }

  /** Show how that GPU is now. */
  render(fleet, now) {
    if (this.#entry === null) return;
    const { host, key } = this.#entry;
    const entry = host.entries.get(key) ?? this.#entry;
    const state = host.entries.has(key) ? entryState(entry, fleet.stateOf(host, now)) : GPU_STATES.lost;
    this.#card.update(entry, state);
    drawPast(this.#card, entry, this.#past, now);
  }
}
