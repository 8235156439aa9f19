/**
 * The page: asks once for the catalogue and the last hour, and then follows the stream. What is heard goes into the
 * fleet at once; what has changed is shown once a second.
 */

import { Api, Refused } from "./api.js";
import { Board } from "./board.js";
import { Catalogue } from "./catalogue.js";
import { Connection } from "./connection.js";
import { show } from "./element.js";
import { entryState, Fleet, SILENCE_SECONDS } from "./fleet.js";
import { Panel } from "./panel.js";
import { Past } from "./past.js";
import { Poll, seconds } from "./poll.js";
import { prompter } from "./prompt.js";
import { HOST_STATES } from "./states.js";
import { Stream } from "./stream.js";
import { Tab } from "./tab.js";
import { Token } from "./token.js";
import { Toolbar } from "./toolbar.js";

const UPDATE_SECONDS = 1;
const RETRY_SECONDS = 3;
const MEASURED = "update";

class Page {
  #api = new Api(new Token(prompter(byId("token"))));
  #fleet = new Fleet(seconds());
  #past = new Past(this.#api, () => this.#renderNow());
  #connection = new Connection(byId("connection"), byId("announced"));
  #toolbar = new Toolbar(byId("choice"), byId("summary"), () => this.#renderNow());
  #tab = new Tab();
  #poll = new Poll(this.#api, (body, sentAt) => this.#takeHosts(body, sentAt));
  #stream = new Stream(this.#api, {
    opened: () => this.#opened(),
    alive: () => this.#fleet.touch(seconds()),
    told: (event) => this.#told(event),
    lost: (why, wait) => this.#lost(why, wait),
  });
  #board = null;
  #panel = null;
  #openedAt = Infinity;
  /** Whether the snapshots that come are known to be new ones: at first, some may be from before. */
  #isLive = false;
  #timer = null;
  #frame = null;
  #shown = 0;
  /** Hosts that were stale before the page heard them. */
  #recalled = new Set();

  /** Begin, and go on for as long as the page is open. */
  async run() {
    addEventListener("online", () => this.#stream.hurry());
    addEventListener("pagehide", () => this.#stream.leave());
    addEventListener("pageshow", () => this.#stream.hurry());
    document.addEventListener("visibilitychange", () => this.#seen());
    this.#render();
    const catalogue = await this.#catalogue();
    const calls = { open: (entry) => this.#open(entry), changed: () => this.#renderNow() };
    this.#board = new Board(byId("board"), catalogue, this.#past, calls);
    this.#panel = new Panel(byId("panel"), catalogue, this.#past);
    await this.#poll.ask();
    await this.#stream.run();
  }

  /** Return the catalogue, once the API answers. If it refuses, readings are called by their names: better than to show
   * nothing. */
  async #catalogue() {
    for (;;) {
      try {
        return new Catalogue(await this.#api.description());
      } catch (error) {
        if (error instanceof Refused) return new Catalogue({});
        this.#connection.ended(error.message, seconds() + RETRY_SECONDS);
        await new Promise((retry) => setTimeout(retry, RETRY_SECONDS * 1000));
      }
    }
  }

  #opened() {
    this.#openedAt = seconds();
    this.#isLive = false;
    this.#fleet.join(this.#openedAt);
    this.#connection.opened();
    this.#past.reload(this.#fleet.entries);
    this.#poll.ask();
  }

  #lost(why, wait) {
    this.#fleet.part(seconds());
    this.#connection.ended(why, seconds() + wait);
    this.#render();
  }

  #told({ type, data }) {
    if (type === "lost") return this.#past.reload(this.#fleet.entries);
    if (type !== "snapshot") return undefined;
    this.#fleet.accept(data, seconds(), this.#isLive);
    for (const { host } of data.hosts) this.#fleet.hosts.get(host).entries.forEach((entry) => this.#past.add(entry));
    return this.#renderFirst();
  }

  #takeHosts(body, sentAt) {
    this.#fleet.touch(seconds());
    this.#fleet.acceptHosts(body, sentAt, seconds());
    this.#stream.hurry();
    this.#isLive ||= sentAt >= this.#openedAt;
    this.#renderFirst();
    for (const { host, state } of body.hosts) if (state === "stale") this.#recall(this.#fleet.hosts.get(host));
  }

  /** Ask which GPUs a stale host had: the stream begins with those that are fresh. */
  async #recall(host) {
    if (host.entries.size || this.#recalled.has(host)) return;
    this.#recalled.add(host);
    const body = await this.#api.gpusOf(host.name).catch(() => ({ hosts: [] }));
    if (host.entries.size === 0) this.#fleet.accept(body, seconds(), false);
  }

  #open(entry) {
    this.#panel.open(entry);
    this.#panel.render(this.#fleet, seconds());
  }

  #seen() {
    if (document.hidden) return;
    this.#stream.hurry();
    this.#poll.ask();
    this.#render();
  }

  /** As long as there is nothing to see, nobody is to wait for the next second. */
  #renderFirst() {
    if (this.#shown === 0) this.#renderNow();
  }

  /** Show what the reader has asked for, with the next frame. */
  #renderNow() {
    this.#frame ??= requestAnimationFrame(() => this.#render());
  }

  /** Show all there is, and again in a second. How long that took is left for who measures: the last one only. */
  #render() {
    clearTimeout(this.#timer);
    cancelAnimationFrame(this.#frame);
    this.#frame = null;
    this.#timer = setTimeout(() => this.#render(), UPDATE_SECONDS * 1000);
    performance.clearMeasures(MEASURED);
    const began = performance.now();
    const now = seconds();
    const hosts = [...this.#fleet.hosts.values()];
    const states = new Map(hosts.map((host) => [host, this.#fleet.stateOf(host, now)]));
    const gpus = hosts.flatMap((host) => [...host.entries.values()].map((one) => entryState(one, states.get(host))));
    const silence = this.#fleet.silenceSeconds(now);
    this.#connection.render(silence, silence < SILENCE_SECONDS, now);
    this.#tab.show([...states.values(), ...this.#fleet.silent.map(() => HOST_STATES.unheard)], gpus);
    if (document.hidden || this.#board === null) return;
    this.#shown = this.#board.render(this.#fleet, this.#toolbar.choice, now);
    this.#toolbar.summarize([...states.values()], gpus, this.#shown);
    this.#panel.render(this.#fleet, now);
    show(byId("empty"), this.#shown === 0);
    byId("empty").textContent = gpus.length ? "No GPU matches the search." : "No GPU is known yet.";
    performance.measure(MEASURED, { start: began });
  }
}

function byId(id) {
  return document.getElementById(id);
}

new Page().run();
