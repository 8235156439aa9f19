/** What the four lines of a card say of a GPU: value, bar and remark. Pure. */

import { NONE, written } from "./units.js";
import { wholeReason } from "./wording.js";

/** The hottest that a die without known limits is drawn for. */
const HOT_CELSIUS = 110;

/**
 * @typedef {object} Line
 * @property {string} reading the reading that it is about
 * @property {string[]} parts the parts of its bar
 * @property {(gpu: object) => number | null} high what the bar's end, and the top of the sparkline, stands for
 * @property {(gpu: object) => (number | null)[]} shares how long each part is
 * @property {(gpu: object) => (number | null)[]} limits where there are marks
 * @property {(gpu: object, title: (name: string) => string) => (string | null)[]} remarks
 * @property {(gpu: object) => boolean} isHigh whether the value is one to look at
 */

/** @type {Line[]} */
export const LINES = [
  {
    reading: "utilization_gpu_percent",
    parts: ["utilization"],
    high: () => 100,
    shares: (gpu) => [gpu.utilization_gpu_percent],
    limits: () => [],
    remarks: (gpu, title) => [
      said(gpu.utilization_memory_percent, "percent", (text) => `${title("utilization_memory_percent")} ${text}`),
    ],
    isHigh: () => false,
  },
  {
    reading: "memory_used_bytes",
    parts: ["memory", "reserved"],
    high: (gpu) => gpu.memory_total_bytes,
    shares: (gpu) => [gpu.memory_used_bytes, gpu.memory_used_includes_reserved ? null : gpu.memory_reserved_bytes],
    limits: () => [],
    remarks: (gpu) => [
      said(gpu.memory_total_bytes, "bytes", (text) => `of ${text}`),
      said(gpu.memory_free_bytes, "bytes", (text) => `${text} free`),
      gpu.memory_used_includes_reserved
        ? "reserve counted as used"
        : said(gpu.memory_reserved_bytes, "bytes", (text) => `${text} reserved`),
    ],
    isHigh: () => false,
  },
  {
    reading: "temperature_gpu_celsius",
    parts: ["temperature"],
    high: (gpu) => gpu.temperature_shutdown_celsius ?? HOT_CELSIUS,
    shares: (gpu) => [gpu.temperature_gpu_celsius],
    limits: (gpu) => [gpu.temperature_max_operating_celsius, gpu.temperature_slowdown_celsius],
    remarks: (gpu) => [
      said(gpu.temperature_slowdown_celsius, "celsius", (text) => `slows at ${text}`),
      said(gpu.temperature_shutdown_celsius, "celsius", (text) => `off at ${text}`),
    ],
    isHigh: (gpu) => gpu.temperature_gpu_celsius >= warmest(gpu),
  },
  {
    reading: "power_draw_watts",
    parts: ["power"],
    high: powerLimit,
    shares: (gpu) => [gpu.power_draw_watts],
    limits: () => [],
    remarks: (gpu) => [said(powerLimit(gpu), "watts", (text) => `of ${text}, its limit`)],
    isHigh: () => false,
  },
];

/** Return what a line remarks; of a reading that was not taken, why. `isShown` says whether there are current ones. */
export function remark(line, gpu, title, isShown) {
  if (!isShown) return "no current reading";
  if (gpu[line.reading] === null) return wholeReason(gpu.unavailable[line.reading]);
  return line.remarks(gpu, title).filter((text) => text !== null).join(" · ");
}

/** Return the temperature from which the GPU does not keep its full clocks; Infinity where that is not told. */
function warmest(gpu) {
  return gpu.temperature_max_operating_celsius ?? gpu.temperature_slowdown_celsius ?? Infinity;
}

function powerLimit(gpu) {
  return gpu.power_limit_enforced_watts ?? gpu.power_limit_watts ?? gpu.power_limit_max_watts;
}

function said(value, unit, say) {
  const text = written(value, unit);
  return text === NONE ? null : say(text);
}
