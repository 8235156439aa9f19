/** Which GPUs are shown, and in what order. Pure. */

/** Beyond so many GPUs there is a tile for each and not a card, unless the reader wants it otherwise. */
export const MOST_CARDS = 48;

/** How to sort, by the name that the address has for it; those without a reading keep the GPUs in their hosts. */
export const SORTS = {
  host: { title: "By host" },
  "-utilization_gpu_percent": { title: "Busiest first", reading: "utilization_gpu_percent", sign: -1 },
  utilization_gpu_percent: { title: "Idlest first", reading: "utilization_gpu_percent", sign: 1 },
  "-memory_free_bytes": { title: "Most free memory first", reading: "memory_free_bytes", sign: -1 },
  "-temperature_gpu_celsius": { title: "Hottest first", reading: "temperature_gpu_celsius", sign: -1 },
  "-power_draw_watts": { title: "Most power first", reading: "power_draw_watts", sign: -1 },
  "-state": { title: "Worst state first" },
};

/** Return whether an entry has all the words that are searched for, in any of what names it. */
export function matches(entry, state, search) {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return true;
  const text = named(entry, state);
  return words.every((word) => text.includes(word));
}

/** Return the entries in the order that is wanted; what has no such reading comes last. */
export function sorted(entries, sort, stateOf) {
  const key = SORTS[sort] ?? SORTS.host;
  if (sort === "-state") return stable(entries, (entry) => -stateOf(entry).rank);
  if (!key.reading) return entries;
  return stable(entries, (entry) => {
    const value = stateOf(entry).name === "ok" ? entry.gpu[key.reading] : null;
    return value === null || value === undefined ? Infinity : value * key.sign;
  });
}

/** Return whether GPUs stay with their hosts in that order. */
export function isGrouped(sort) {
  return !SORTS[sort] || sort === "host";
}

/** Return whether cards are to be shown, of so many GPUs. @param {"auto" | "cards" | "tiles"} view */
export function showsCards(view, count) {
  return view === "auto" ? count <= MOST_CARDS : view === "cards";
}

function stable(entries, rank) {
  const ranked = entries.map((entry, place) => ({ entry, place, rank: rank(entry) }));
  ranked.sort((one, other) => (one.rank === other.rank ? one.place - other.place : one.rank - other.rank));
  return ranked.map(({ entry }) => entry);
}

function named(entry, state) {
  const { gpu, host } = entry;
  const processes = (gpu.processes ?? []).map((process) => `${process.user} ${process.name} ${process.pid}`);
  return [host.name, `gpu-${gpu.index}`, gpu.name, gpu.uuid, gpu.pci_bus_id, state.name, ...processes]
    .join(" ")
    .toLowerCase();
}
