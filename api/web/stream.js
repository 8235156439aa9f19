/**
 * The stream of snapshots, for as long as the page is open: it connects again by itself, and goes on after the last
 * event. It is read with `fetch`, because an EventSource can send no token.
 */

import { Events } from "./events.js";

/** The API sends a comment after 15 s without an event; who hears nothing for so long has lost it. */
const SILENCE_SECONDS = 40;
const LONGEST_WAIT_SECONDS = 15;

/**
 * @typedef {object} Listener
 * @property {() => void} opened the API has begun to tell
 * @property {(event: {type: string, data: object}) => void} told an event has come
 * @property {() => void} alive something has come, an event or not
 * @property {(why: string, seconds: number) => void} lost the connection is lost, and tried anew after so many seconds
 */

export class Stream {
  #api;
  #listener;
  #lastId = null;
  #failures = 0;
  #silence = new Silence();
  #wake = () => {};
  /** Whether the API has said when to come back. */
  #isToldToWait = false;

  /** @param {import("./api.js").Api} api @param {Listener} listener */
  constructor(api, listener) {
    this.#api = api;
    this.#listener = listener;
  }

  /** Listen for ever. */
  async run() {
    for (;;) {
      const ended = await this.#listen().then(() => "the API has ended the stream", (error) => error);
      this.#isToldToWait = (ended.retrySeconds ?? null) !== null;
      const seconds = ended.retrySeconds ?? Math.min(LONGEST_WAIT_SECONDS, 2 ** this.#failures);
      this.#failures += 1;
      this.#listener.lost(ended.message ?? ended, seconds);
      await this.#pause(seconds);
    }
  }

  /** Try at once, if it waits to try again and was not told to. */
  hurry() {
    if (!this.#isToldToWait) this.#wake();
  }

  /** Let go of the connection; it is tried anew as after any other loss. A browser has few, and keeps those of pages
   * that were left. */
  leave() {
    this.#silence.giveUp("the page was left");
  }

  async #listen() {
    this.#silence = new Silence();
    try {
      const answer = await this.#api.stream(this.#lastId, this.#silence.signal);
      this.#listener.opened();
      await this.#read(answer.body.pipeThrough(new TextDecoderStream()).getReader());
    } finally {
      this.#silence.end();
    }
  }

  async #read(reader) {
    const events = new Events();
    for (;;) {
      this.#silence.begin();
      const { done, value } = await reader.read();
      if (done) return;
      this.#failures = 0;
      this.#listener.alive();
      for (const { type, data } of events.take(value)) this.#listener.told({ type, data: JSON.parse(data) });
      this.#lastId = events.lastId ?? this.#lastId;
    }
  }

  #pause(seconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, seconds * 1000);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** Gives up on a connection that says nothing. */
class Silence {
  #controller = new AbortController();
  #timer;

  get signal() {
    return this.#controller.signal;
  }

  begin() {
    this.end();
    const why = `nothing was heard for ${SILENCE_SECONDS} s`;
    this.#timer = setTimeout(() => this.giveUp(why), SILENCE_SECONDS * 1000);
  }

  giveUp(why) {
    this.#controller.abort(new Error(why));
  }

  end() {
    clearTimeout(this.#timer);
  }
}
