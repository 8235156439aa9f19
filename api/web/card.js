/** The card of one GPU: who it is, how it is, its readings now and over the last hour. */

import { AllReadings, Processes } from "./details.js";
import { arrange, element, mark, say, show } from "./element.js";
import { Facts } from "./facts.js";
import { LINES } from "./lines.js";
import { Pointer } from "./pointer.js";
import { stepOf } from "./ring.js";
import { Row } from "./row.js";
import { troubles } from "./trouble.js";
import { moment } from "./units.js";

let cards = 0;

export class Card {
  #catalogue;
  #name = element("h3", { id: `card-${(cards += 1)}` });
  #whose = element("span", { class: "whose" });
  #uuid = element("span");
  #where = element("p", { class: "where" }, this.#whose, this.#uuid);
  #state = element("span", { class: "state" });
  #wrong = element("p", { class: "wrong", hidden: "" });
  #troubles = element("ul", { class: "troubles", hidden: "" });
  #rows;
  #facts;
  #all;
  #processes = new Processes();
  #pointer;
  #drawn = "";

  /** @param {import("./catalogue.js").Catalogue} catalogue */
  constructor(catalogue) {
    this.#catalogue = catalogue;
    this.#rows = LINES.map((line) => new Row(line, catalogue));
    this.#facts = new Facts(catalogue);
    this.#all = new AllReadings(catalogue);
    this.#pointer = new Pointer(this.#rows);
    this.node = element(
      "article",
      { class: "card", "aria-labelledby": this.#name.id },
      element("header", {}, this.#name, this.#state, this.#where),
      this.#wrong,
      this.#troubles,
      element("dl", { class: "lines" }, ...this.#rows.map((row) => row.node)),
      this.#pointer.node,
      this.#facts.node,
      this.#processes.node,
      this.#all.node,
    );
  }

  /** Show a GPU, which is in that state. @param {import("./states.js").State} state */
  update({ gpu, host }, state) {
    const isShown = state.name === "ok";
    say(this.#name, `gpu-${gpu.index} ${gpu.name ?? ""}`);
    say(this.#whose, `${host.name} · `);
    say(this.#uuid, gpu.uuid ?? "without a uuid");
    say(this.#state, `${state.sign} ${state.name}`);
    mark(this.#state, "data-tone", state.tone);
    mark(this.node, "data-tone", state.tone);
    mark(this.node, "data-gpu", gpu.uuid ?? `index ${gpu.index}`);
    mark(this.node, "data-state", state.name);
    this.#complain(gpu, state, isShown);
    for (const part of [...this.#rows, this.#facts, this.#processes, this.#all]) part.update(gpu, isShown);
  }

  /** Draw the last hour, which ends at that time, in Unix seconds; again only if there is more to draw. */
  draw({ gpu, version }, rings, endsAt) {
    const step = stepOf(endsAt);
    const drawing = `${step} ${version} ${rings.get(LINES[0].reading).filled}`;
    if (drawing === this.#drawn) return;
    this.#drawn = drawing;
    for (const row of this.#rows) row.draw(gpu, rings.get(row.reading).until(step));
    this.#pointer.endsWith(step);
  }

  #complain(gpu, state, isShown) {
    show(this.#wrong, !isShown);
    say(this.#wrong, isShown ? "" : why(gpu, state));
    const said = isShown ? troubles(gpu, (name) => this.#catalogue.of(name)) : [];
    show(this.#troubles, said.length > 0);
    if (said.join("\n") === this.#troubles.dataset.said) return;
    this.#troubles.dataset.said = said.join("\n");
    arrange(this.#troubles, said.map((text) => element("li", {}, text)));
  }
}

/** Return why there are no readings: the state's meaning, and what the collector says if it says it of this state. */
function why(gpu, state) {
  const isTold = state.name === gpu.state;
  const since = isTold && gpu.lost_since_ns ? `Lost since ${moment(gpu.lost_since_ns / 1e9)}.` : "";
  const error = isTold && gpu.error ? `${gpu.error}.` : "";
  return [state.meaning, since, error].filter(Boolean).join(" ");
}
