/** The tab's title and icon, which tell the worst state to who looks at another tab. */

import { mark } from "./element.js";
import { tally } from "./states.js";

const NAME = "GPU metrics";

export class Tab {
  #icon = document.querySelector('link[rel="icon"]');

  /** @param {import("./states.js").State[]} hosts @param {import("./states.js").State[]} gpus */
  show(hosts, gpus) {
    const [state, said] = worstOf(hosts, gpus);
    const title = said ? `${state.sign} ${said} · ${NAME}` : NAME;
    if (document.title !== title) document.title = title;
    mark(this.#icon, "href", `web/state-${state?.tone ?? "off"}.svg`);
  }
}

/** Return the worst state, of hosts or else of GPUs, and how many have it in words; "" where all is well. */
function worstOf(hosts, gpus) {
  const [host, hostCount] = tally(hosts)[0] ?? [];
  const [gpu, gpuCount] = tally(gpus)[0] ?? [];
  if (!host) return [undefined, ""];
  if (host.name === "unreachable") return [host, "not connected"];
  if (gpu && gpu.rank > 0 && host.rank <= 1) return [gpu, `${gpuCount} ${gpu.name}`];
  return [host, host.rank > 0 ? `${hostCount} ${host.name}` : ""];
}
