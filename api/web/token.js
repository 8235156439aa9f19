/**
 * The token that the API may ask for: kept in this tab until it is closed, and sent in a header only.
 *
 * Whoever is refused waits here until there is another one.
 */

const KEY = "gpu-metrics-token";

export class Token {
  #ask;
  #asking = null;

  /** @param {(message: string) => Promise<string>} ask asks the reader; the message says why */
  constructor(ask) {
    this.#ask = ask;
  }

  /** The token; null as long as there is none. */
  get value() {
    return sessionStorage.getItem(KEY);
  }

  /** Wait until there is another token than the one that was refused; the reader is asked once for all who wait. */
  async replaced(refused, message) {
    if (this.value !== refused) return;
    this.#asking ??= this.#ask(message).finally(() => (this.#asking = null));
    sessionStorage.setItem(KEY, await this.#asking);
  }
}
