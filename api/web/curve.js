/** The shapes of a sparkline: values in, SVG path data out. Pure. */

import { reach } from "./ring.js";

export const HEIGHT = 100;

/**
 * Return the line through the values, and the area below it, as path data: x is a value's place, y runs from HEIGHT for
 * 0 up to 0 for `high` and above. Where values are missing for longer than usual there is a gap.
 */
export function curve(values, high) {
  const line = [];
  const area = [];
  for (const run of runs(values)) {
    const points = run.map((place) => `${place} ${level(values[place], high)}`);
    // A line to itself, with round ends, is a dot.
    line.push(`M${points.join("L")}${points.length === 1 ? `L${points[0]}` : ""}`);
    area.push(`M${run[0]} ${HEIGHT}L${points.join("L")}L${run.at(-1)} ${HEIGHT}Z`);
  }
  return { line: line.join(""), area: area.join("") };
}

/** Return the place of the value that is nearest to a place, within reach of it; null where there is none. */
export function nearest(values, place) {
  const farthest = reach(values);
  for (let distance = 0; distance <= farthest; distance += 1) {
    for (const near of [place - distance, place + distance]) {
      if ((values[near] ?? null) !== null) return near;
    }
  }
  return null;
}

/** Return how high a value stands. */
export function level(value, high) {
  const share = Math.min(1, Math.max(0, value / high));
  return Math.round((1 - share) * HEIGHT * 10) / 10;
}

/** Return the places of the values, in runs that are to be joined. */
function runs(values) {
  const farthest = reach(values);
  const found = [];
  let last = -Infinity;
  values.forEach((value, place) => {
    if (value === null) return;
    if (place - last > farthest) found.push([]);
    found.at(-1).push(place);
    last = place;
  });
  return found;
}
