/** How hosts and GPUs are: each state's word, what it means, and how bad it is. Pure. */

/**
 * @typedef {object} State
 * @property {string} name
 * @property {number} rank 0 is well; the worst wins
 * @property {"ok" | "warn" | "bad" | "off"} tone how it is painted, always beside its word
 * @property {string} sign a shape, for those who do not tell colours apart
 * @property {string} meaning a sentence; empty where all is well
 */

const SIGNS = { ok: "●", warn: "▲", bad: "✖", off: "○" };

/** Of hosts, as `hosts` names them; `degraded` and `unreachable` are told apart by the page. */
export const HOST_STATES = states({
  ok: [0, "ok", ""],
  degraded: [1, "warn", "Not all is well:"],
  unheard: [2, "off", "Nothing was heard of it since the API was started. Does its collector run?"],
  unavailable: [3, "bad", "No NVIDIA driver answers on this host."],
  stalled: [4, "bad", "The NVIDIA driver is stuck in a call and does not answer."],
  stale: [5, "bad", "Nothing new was heard for too long: is its collector stopped, or out of reach?"],
  unreachable: [6, "off", "This page does not reach the API: how the host is now cannot be told."],
});

/** Of GPUs, as `gpus` names them; `stale`, `unheard` and `unreachable` are their host's. */
export const GPU_STATES = states({
  ok: [0, "ok", ""],
  unknown: [2, "off", "The driver as a whole does not answer, so nothing is known of this GPU now."],
  error: [3, "bad", "No reading could be taken."],
  lost: [4, "bad", "This GPU no longer answers, or has vanished."],
  unheard: [2, "off", "Its host was not heard since the API was started."],
  stale: [5, "bad", "Its host is stale: there are no current readings."],
  unreachable: [6, "off", "This page does not reach the API: there are no current readings."],
});

const OF_THE_HOST = new Set(["stale", "unheard", "unreachable"]);

/** Return how a GPU is to be shown, its host being in a state. @returns {State} */
export function gpuState(gpu, hostState) {
  return GPU_STATES[OF_THE_HOST.has(hostState.name) ? hostState.name : gpu.state] ?? GPU_STATES.unknown;
}

/**
 * Return how a host is to be shown.
 * @param {{state: string, gpus: object[], rivals: string[]}} host its state is the one that was heard last
 * @returns {State}
 */
export function hostState({ state, gpus, rivals }, isReachable) {
  if (!isReachable) return HOST_STATES.unreachable;
  if (state === "ok" && (rivals.length || gpus.some((gpu) => gpu.state !== "ok"))) return HOST_STATES.degraded;
  return HOST_STATES[state] ?? HOST_STATES.unheard;
}

/** Return the worst of some states; `ok` where there are none. @returns {State} */
export function worst(states) {
  return states.reduce((one, other) => (other.rank > one.rank ? other : one), GPU_STATES.ok);
}

/** Return how many there are of each state, worst first. @param {State[]} states @returns {[State, number][]} */
export function tally(states) {
  const counts = new Map();
  for (const state of states) counts.set(state, (counts.get(state) ?? 0) + 1);
  return [...counts].sort(([one], [other]) => other.rank - one.rank);
}

function states(table) {
  const entries = Object.entries(table).map(([name, [rank, tone, meaning]]) => {
    return [name, Object.freeze({ name, rank, tone, sign: SIGNS[tone], meaning })];
  });
  return Object.freeze(Object.fromEntries(entries));
}
