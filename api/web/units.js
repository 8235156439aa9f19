/** How values are written: every unit of the catalogue, and ages. Pure. */

export const NONE = "—";

/** Between a number and its unit, so that they stay on one line. */
const GAP = "\u00a0";

const BINARY = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const JOULES = ["J", "kJ", "MJ", "GJ", "TJ"];

/** Units that are a number and a sign. What is not here and in `SPECIAL` is written as it is. */
const SIGNS = { percent: "%", celsius: "°C", megahertz: "MHz" };

const SPECIAL = {
  bytes: (value) => scaled(value, 1024, BINARY),
  bytes_per_second: (value) => `${scaled(value, 1024, BINARY)}/s`,
  joules: (value) => scaled(value, 1000, JOULES),
  watts: (value) => `${value.toFixed(value < 100 ? 1 : 0)}${GAP}W`,
  seconds: (value) => (value < 60 ? `${value.toFixed(1)}${GAP}s` : duration(value)),
  state: (value) => `P${value}`,
};

/**
 * Return a reading's value in words, with its unit; lists are counted, unless they are lists of texts.
 * @param {*} value null where it was not taken
 * @param {string} unit the catalogue's `x-unit`
 */
export function written(value, unit) {
  if (value === null || value === undefined) return NONE;
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value)) return listed(value);
  if (typeof value !== "number") return String(value);
  if (SPECIAL[unit]) return SPECIAL[unit](value);
  return SIGNS[unit] ? `${value}${GAP}${SIGNS[unit]}` : String(value);
}

/** Return seconds as a person would say them: `12 s`, `2 min 05 s`, `3 h 04 min`, `2 d 3 h`. */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${padded(whole % 60)} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${padded(Math.floor((whole % 3600) / 60))} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

/** Return the time of day, in the reader's own time zone, of a Unix time in seconds. */
export function timeOfDay(unixSeconds) {
  const at = new Date(unixSeconds * 1000);
  return [at.getHours(), at.getMinutes(), at.getSeconds()].map(padded).join(":");
}

/** Return when a Unix time in seconds was, to a reader whose time is `now`: with the day, if that is another. */
export function moment(unixSeconds, now = Date.now() / 1000) {
  const [day, today] = [unixSeconds, now].map((at) => new Date(at * 1000).toDateString());
  return day === today ? timeOfDay(unixSeconds) : `${timeOfDay(unixSeconds)} on ${day}`;
}

/** Return `1 GPU`, `2 GPUs`. */
export function counted(count, what) {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

function listed(values) {
  if (values.length === 0) return "none";
  return values.every((value) => typeof value === "string") ? values.join(", ") : String(values.length);
}

function scaled(value, step, names) {
  let scale = 0;
  let rest = value;
  while (Math.abs(rest) >= step && scale < names.length - 1) {
    rest /= step;
    scale += 1;
  }
  return `${threeDigits(rest, scale)}${GAP}${names[scale]}`;
}

function threeDigits(value, scale) {
  if (scale === 0) return String(Math.round(value));
  return value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);
}

function padded(number) {
  return String(number).padStart(2, "0");
}
