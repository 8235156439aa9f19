/** Asks how the hosts are, again and again: a collector that is dead sends no event that says so. */

const EVERY_SECONDS = 3;

export class Poll {
  #api;
  #told;
  #timer;
  #isAsking = false;

  /** @param {(body: object, sentAt: number) => void} told takes an answer, and when it was asked for */
  constructor(api, told) {
    this.#api = api;
    this.#told = told;
  }

  /** Ask now, and then every few seconds. A question that is not answered holds the next one back. */
  async ask() {
    if (this.#isAsking) return;
    this.#isAsking = true;
    clearTimeout(this.#timer);
    const sentAt = seconds();
    try {
      this.#told(await this.#api.hosts(), sentAt);
    } catch {
      // Silence says it: the page shows for how long nothing was heard.
    } finally {
      this.#isAsking = false;
      this.#timer = setTimeout(() => this.ask(), EVERY_SECONDS * 1000);
    }
  }
}

/** Return the time on a clock that is never set back. */
export function seconds() {
  return performance.now() / 1000;
}
