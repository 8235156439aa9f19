/** One host: its name, how it is, how old what is shown is, its driver; and below them its GPUs. */

import { arrange, element, mark, say, show } from "./element.js";
import { counted, duration } from "./units.js";

export class HostSection {
  #state = element("span", { class: "state" });
  #age = element("span", { class: "age" });
  #about = element("span", { class: "about" });
  #wrong = element("p", { class: "wrong", hidden: "" });
  #items = element("div", { class: "items" });

  /** @param {string} name of the host, or the endpoint where it should be */
  constructor(name) {
    const heading = element("h2", {}, name);
    const head = element("header", {}, heading, this.#state, this.#age, this.#about);
    this.node = element("section", { class: "host", "data-host": name, "aria-label": name }, head, this.#wrong, this.#items);
  }

  /** Show how a host is. @param {import("./states.js").State} state */
  update(host, state, now) {
    say(this.#state, `${state.sign} ${state.name}`);
    mark(this.#state, "data-tone", state.tone);
    mark(this.node, "data-state", state.name);
    say(this.#age, state.name === "unheard" ? "not heard" : ageInWords(host.ageSeconds(now)));
    say(this.#about, state.name === "unheard" ? "" : about(host));
    say(this.#wrong, [state.meaning, reason(host, state)].filter(Boolean).join(" "));
    show(this.#wrong, state.meaning !== "");
  }

  /** Show these below it. @param {Node[]} nodes @param {string} kind "cards" or "tiles" */
  fill(nodes, kind) {
    mark(this.#items, "class", `items ${kind}`);
    arrange(this.#items, nodes);
  }
}

function ageInWords(seconds) {
  return seconds === null ? "age not told yet" : `${duration(seconds)} ago`;
}

/** Return what is known of why a host is not well; "": nothing more. */
function reason(host, state) {
  if (state.name === "degraded") return [...illGpus(host), ...rivals(host)].join(", ");
  if (state.name === "unreachable") return "";
  const way = host.connection?.reason;
  return [host.source?.error, way && `${host.endpoint}: ${way}.`].filter(Boolean).join(" ");
}

function illGpus({ gpus }) {
  return gpus.filter((gpu) => gpu.state !== "ok").map((gpu) => `gpu-${gpu.index} is ${gpu.state}`);
}

function rivals({ name, rivals: endpoints }) {
  const said = `also calls itself ${name}: give each collector a GPU_METRICS_HOST of its own`;
  return endpoints.map((endpoint) => `the collector at ${endpoint} ${said}`);
}

function about({ source, gpus }) {
  const driver = source?.driver_version ? `driver ${source.driver_version}` : "driver unknown";
  const cuda = source?.cuda_version ? `CUDA ${source.cuda_version}` : null;
  const count = gpus.length || source?.state === "ok" ? counted(gpus.length, "GPU") : null;
  return [driver, cuda, count].filter(Boolean).join(" · ");
}
