/**
 * What is known of all hosts and their GPUs, and how old it is. Pure: the time is passed in, in seconds on a clock that
 * is never set back.
 *
 * A host's age is that of the snapshot that is shown. It grows by that clock; a snapshot that the stream brings makes it
 * 0, unless it may be one from before, as the first ones after a connection was made are: theirs is what `hosts` says.
 */

import { gpuState, hostState } from "./states.js";

/** Without a word from the API, or without the stream, for so long, what was heard is not what is. */
export const SILENCE_SECONDS = 7;

/** One GPU: whose it is, its last readings, and a number that grows with them. */
class Entry {
  version = 0;

  constructor(key, host, gpu) {
    this.key = key;
    this.host = host;
    this.gpu = gpu;
  }
}

/** One host, or an endpoint from which nothing was heard yet and whose name that is. `sealedAt` is when its last snapshot was sealed, null as long as that was not told. */
class Host {
  state = "unheard";
  source = null;
  endpoint = "";
  /** How the way to its endpoint is, as `hosts` tells it; null: not known. */
  connection = null;
  /** Where other collectors are that call themselves as this one does. @type {string[]} */
  rivals = [];
  sealedAt = null;
  /** Whether a snapshot has come of which only `hosts` can tell how old it is. */
  isUndated = true;
  heardAt = -Infinity;
  /** When the last snapshot was sampled, in Unix seconds by the host's own clock. */
  sampledAt = null;
  /** @type {Map<string, Entry>} */
  entries = new Map();

  constructor(name) {
    this.name = name;
  }

  get gpus() {
    return [...this.entries.values()].map((entry) => entry.gpu);
  }

  /** Return how old its last snapshot is; null as long as that was not told. */
  ageSeconds(now) {
    return this.sealedAt === null ? null : Math.max(0, now - this.sealedAt);
  }
}

export class Fleet {
  /** @type {Map<string, Host>} */
  hosts = new Map();
  /** Endpoints from which nothing was heard yet. @type {Host[]} */
  silent = [];
  #contactAt;
  /** Since when there is no stream; null while there is one. */
  #partedAt;

  constructor(now) {
    this.#contactAt = now;
    this.#partedAt = now;
  }

  /** Note that the API said something. */
  touch(now) {
    this.#contactAt = now;
  }

  /** Note that the stream has begun. */
  join(now) {
    this.#partedAt = null;
    this.touch(now);
  }

  /** Note that the stream has ended. */
  part(now) {
    this.#partedAt ??= now;
  }

  /** Return for how long the API has said nothing, or there was no stream. */
  silenceSeconds(now) {
    return Math.max(now - this.#contactAt, this.#partedAt === null ? 0 : now - this.#partedAt);
  }

  /** Take a snapshot, as the stream tells it. @param {boolean} isLive whether it has just been sealed */
  accept(body, now, isLive) {
    for (const told of body.hosts) {
      const host = this.#host(told.host);
      host.source = told.source;
      // An old snapshot says nothing against what `hosts` has said since.
      if (isLive || host.sealedAt === null) host.state = told.source.state;
      host.sampledAt = Date.parse(`${told.timestamp.slice(0, 23)}Z`) / 1000;
      host.isUndated = !isLive;
      if (isLive) host.sealedAt = host.heardAt = now;
      replaceGpus(host, body.gpus.filter((gpu) => gpu.host === told.host));
    }
  }

  /** Take what `hosts` answered to a question that was sent at `sentAt`: of hosts heard since then we know better. */
  acceptHosts(body, sentAt, now) {
    const shown = body.hosts.filter((host) => host.host !== null && !host.rival_of);
    const told = new Map(shown.map((host) => [host.host, host]));
    for (const [name, { state, age_seconds: age, source, endpoint, connection }] of told) {
      const host = this.#host(name);
      host.endpoint = endpoint;
      host.connection = connection;
      host.rivals = body.hosts.filter((other) => other.host === name && other.rival_of).map((other) => other.endpoint);
      if (host.heardAt > sentAt) continue;
      host.state = state;
      host.source = source;
      if (host.isUndated || now - age < host.sealedAt) host.sealedAt = now - age;
      host.isUndated = false;
    }
    for (const host of this.hosts.values()) {
      if (!told.has(host.name) && host.heardAt <= sentAt) host.state = "unheard";
    }
    const known = new Set([...this.hosts.values()].map((host) => host.endpoint));
    const silent = body.hosts.filter((host) => host.host === null && !known.has(host.endpoint));
    this.silent = silent.map(({ endpoint, connection }) => Object.assign(new Host(endpoint), { endpoint, connection }));
  }

  /** All hosts by name. @returns {Host[]} */
  get byName() {
    return [...this.hosts.values()].sort((one, other) => compareNames(one.name, other.name));
  }

  /** All GPUs, by host and index. @returns {Entry[]} */
  get entries() {
    return this.byName.flatMap((host) => [...host.entries.values()]);
  }

  /** Return how a host is now. */
  stateOf(host, now) {
    return hostState(host, this.silenceSeconds(now) < SILENCE_SECONDS);
  }

  #host(name) {
    if (!this.hosts.has(name)) this.hosts.set(name, new Host(name));
    return this.hosts.get(name);
  }
}

/** Return how a GPU is now, its host being in a state. */
export function entryState(entry, stateOfHost) {
  return gpuState(entry.gpu, stateOfHost);
}

const collator = new Intl.Collator("en", { numeric: true });

/** Compare names so that node-2 comes before node-10. */
export function compareNames(one, other) {
  return collator.compare(one, other);
}

function replaceGpus(host, gpus) {
  const before = host.entries;
  host.entries = new Map();
  for (const gpu of gpus) {
    const key = `${host.name}/${gpu.uuid ?? `index ${gpu.index}`}`;
    const entry = before.get(key) ?? new Entry(key, host, gpu);
    entry.gpu = gpu;
    entry.version += 1;
    host.entries.set(key, entry);
  }
}
