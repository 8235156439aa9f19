/** Says whether the page is connected, and if not since when, why, and when it tries again. */

import { mark, say } from "./element.js";
import { duration } from "./units.js";

export class Connection {
  #node;
  #status;
  #lost = null;
  #isNew = true;
  #announced = "";

  /** @param {Element} node what is seen @param {Element} status what is read aloud, which does not tick */
  constructor(node, status) {
    this.#node = node;
    this.#status = status;
  }

  /** The stream has begun. */
  opened() {
    this.#isNew = false;
    this.#lost = null;
  }

  /** The stream has ended, and is tried again at `retryAt`. */
  ended(why, retryAt) {
    this.#isNew = false;
    this.#lost = { why, retryAt };
  }

  /** Say it. `silence` is for how many seconds nothing was heard. */
  render(silence, isReachable, now) {
    if (this.#isNew) return;
    const isLive = this.#lost === null && isReachable;
    say(this.#node, isLive ? "● live" : `○ not connected for ${duration(silence)}: ${this.#reason(now)}`);
    mark(this.#node, "data-tone", isLive ? "ok" : "off");
    const said = isLive ? "Connected." : "Not connected, trying again.";
    if (said !== this.#announced) say(this.#status, (this.#announced = said));
  }

  #reason(now) {
    if (this.#lost === null) return "the API does not answer";
    const { why, retryAt } = this.#lost;
    const seconds = Math.ceil(retryAt - now);
    return `${why}, ${seconds > 0 ? `trying again in ${duration(seconds)}` : "trying again now"}`;
  }
}
