/** All hosts and GPUs that are to be shown, each at its place. Only what has changed is touched. */

import { Card } from "./card.js";
import { isGrouped, matches, showsCards, SORTS } from "./choice.js";
import { arrange, element, show } from "./element.js";
import { entryState } from "./fleet.js";
import { HostSection } from "./host-section.js";
import { Order } from "./order.js";
import { Sight } from "./sight.js";
import { HOST_STATES } from "./states.js";
import { Tile } from "./tile.js";

export class Board {
  #node;
  #catalogue;
  #past;
  #open;
  #order = new Order();
  #sight;
  #sections = new Map();
  #views = new Map();
  #flat = element("section", { class: "flat" }, element("h2"), element("div"));
  #kind = null;

  /**
   * @param {Element} node where all goes
   * @param {import("./catalogue.js").Catalogue} catalogue
   * @param {import("./past.js").Past} past
   * @param {{open: (entry: object) => void, changed: () => void}} calls open a GPU's card; there is more to draw
   */
  constructor(node, catalogue, past, { open, changed }) {
    this.#node = node;
    this.#catalogue = catalogue;
    this.#past = past;
    this.#open = open;
    this.#sight = new Sight(changed);
  }

  /** Show what is chosen of the fleet, and return how many GPUs that are. */
  render(fleet, choice, now) {
    const states = new Map(fleet.byName.map((host) => [host, fleet.stateOf(host, now)]));
    const stateOf = (entry) => entryState(entry, states.get(entry.host));
    const entries = fleet.entries;
    const shown = entries.filter((entry) => matches(entry, stateOf(entry), choice.search));
    this.#useKind(showsCards(choice.view, entries.length) ? "cards" : "tiles", entries);
    for (const entry of shown) this.#refresh(entry, stateOf(entry), now);
    const silent = fleet.silent.map((host) => this.#section(host.name, host, HOST_STATES.unheard, now));
    const of = isGrouped(choice.sort) ? this.#grouped : this.#sorted;
    arrange(this.#node, [...of.call(this, { entries, shown, states, stateOf }, choice, now), ...silent]);
    return shown.length;
  }

  #grouped({ shown, states }, { search }, now) {
    const byHost = Map.groupBy(shown, (entry) => entry.host);
    const hosts = [...states.keys()].filter((host) => byHost.has(host) || isAskedFor(host, search));
    return hosts.map((host) => {
      const nodes = (byHost.get(host) ?? []).map((entry) => this.#views.get(entry.key).node);
      return this.#section(host.name, host, states.get(host), now, nodes);
    });
  }

  #sorted({ entries, shown, states, stateOf }, { sort, search }, now) {
    const ordered = this.#order.apply(entries, sort, stateOf, now, this.#isHeld());
    const wanted = new Set(shown);
    const nodes = ordered.filter((entry) => wanted.has(entry)).map((entry) => this.#views.get(entry.key).node);
    const [heading, items] = this.#flat.children;
    heading.textContent = `All hosts: ${SORTS[sort].title.toLowerCase()}`;
    items.className = `items ${this.#kind}`;
    arrange(items, nodes);
    const ill = [...states].filter(([host, state]) => state.rank > 0 && (!search || isAskedFor(host, search)));
    return [...ill.map(([host, state]) => this.#section(host.name, host, state, now)), this.#flat];
  }

  /** Nothing may jump away from under the mouse, or from who has the focus. */
  #isHeld() {
    const canHover = matchMedia("(hover: hover)").matches;
    return (canHover && this.#flat.matches(":hover")) || this.#flat.contains(document.activeElement);
  }

  #section(name, host, state, now, nodes = []) {
    if (!this.#sections.has(name)) this.#sections.set(name, new HostSection(name));
    const section = this.#sections.get(name);
    section.update(host, state, now);
    section.fill(nodes, this.#kind);
    return section.node;
  }

  #useKind(kind, entries) {
    if (kind !== this.#kind) this.#views.clear();
    this.#kind = kind;
    const known = new Set(entries.map((entry) => entry.key));
    for (const key of this.#views.keys()) {
      if (!known.has(key)) this.#views.delete(key);
    }
  }

  #refresh(entry, state, now) {
    const view = this.#views.get(entry.key) ?? this.#made(entry);
    const seen = `${entry.version} ${state.name}`;
    if (view.seen !== seen) view.update(entry, state);
    view.seen = seen;
    if (this.#kind === "cards" && this.#sight.has(view.node)) drawPast(view, entry, this.#past, now);
  }

  #made(entry) {
    const view = this.#kind === "cards" ? new Card(this.#catalogue) : new Tile(this.#open, this.#catalogue);
    this.#views.set(entry.key, view);
    if (this.#kind === "cards") this.#sight.watch(view.node);
    return view;
  }
}

/** Draw the last hour of a card: it ends now, so that nothing new shows as a gap that grows. */
export function drawPast(card, entry, past, now) {
  const { host } = entry;
  if (host.sampledAt !== null) card.draw(entry, past.of(entry), host.sampledAt + (host.ageSeconds(now) ?? 0));
}

function isAskedFor(host, search) {
  return host.entries.size === 0 && host.name.toLowerCase().includes(search.trim().toLowerCase());
}
