/** One reading of one GPU over the last hour: a mean for each step, as the API's history tells it. Pure. */

export const STEP_SECONDS = 15;
export const STEPS = 240;

/** A value and the next belong together unless so many times the usual distance is between them: as for `stale`. */
const JOINED = 2.5;

/** Return the number of the step that a Unix time in seconds falls into. */
export function stepOf(unixSeconds) {
  return Math.floor(unixSeconds / STEP_SECONDS);
}

export class Ring {
  #steps = new Float64Array(STEPS).fill(-1);
  #sums = new Float64Array(STEPS);
  #counts = new Uint32Array(STEPS);
  /** How often it was filled from the history. */
  filled = 0;

  /** Take a value that was sampled at that time; null says nothing. */
  add(unixSeconds, value) {
    if (value === null || value === undefined) return;
    const step = stepOf(unixSeconds);
    const place = this.#place(step);
    if (place === null) return;
    this.#sums[place] += value;
    this.#counts[place] += 1;
  }

  /** Take the means of the history, where there is nothing yet: what came by the stream is newer. */
  fill(timestamps, values) {
    this.filled += 1;
    timestamps.forEach((at, index) => {
      if (this.at(stepOf(at)) === null) this.add(at, values[index]);
    });
  }

  /** Return the mean of a step; null where there is none. */
  at(step) {
    const place = step % STEPS;
    return this.#steps[place] === step && this.#counts[place] ? this.#sums[place] / this.#counts[place] : null;
  }

  /** Return the values of the hour that ends with a step, null where there are none. */
  until(step) {
    return Array.from({ length: STEPS }, (_, index) => this.at(step - STEPS + 1 + index));
  }

  /** Return where in the ring a step stands, emptied of the hour before; null if it is older than what is there. */
  #place(step) {
    const place = step % STEPS;
    if (this.#steps[place] > step) return null;
    if (this.#steps[place] < step) {
      this.#steps[place] = step;
      this.#sums[place] = 0;
      this.#counts[place] = 0;
    }
    return place;
  }
}

/** Return how many steps may lie between two values that are joined by a line, from how far apart they usually are. */
export function reach(values) {
  const places = values.flatMap((value, index) => (value === null ? [] : [index]));
  const distances = places.slice(1).map((place, index) => place - places[index]);
  distances.sort((one, other) => one - other);
  return JOINED * (distances[Math.floor((distances.length - 1) / 2)] ?? 1);
}
