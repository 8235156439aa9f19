/** What the service says in codes, in words: why a reading was not taken, and what holds the clocks. Pure. */

const REASONS = {
  unsupported: ["not supported", "not supported by this GPU or its driver"],
  no_permission: ["no permission", "the collector has no permission to read it"],
  not_collected: ["not collected", "not collected: a setting of the collector must ask for it"],
};

/** What slows the clocks because something is wrong, or is about to be. */
const ALARMING = new Set(["hw_slowdown", "sw_thermal_slowdown", "hw_thermal_slowdown", "hw_power_brake_slowdown"]);

const CLOCK_EVENTS = {
  gpu_idle: "idle",
  applications_clocks_setting: "application clocks are set",
  sw_power_cap: "power limit reached",
  hw_slowdown: "hardware slows it down",
  sync_boost: "waits for its sync boost group",
  sw_thermal_slowdown: "too hot, the driver slows it down",
  hw_thermal_slowdown: "too hot, the hardware slows it down",
  hw_power_brake_slowdown: "power brake: the power supply slows it down",
  display_clock_setting: "clocks are set for the display",
};

/** Return in a few words why a reading is missing; `reason` is what `unavailable` says. */
export function briefReason(reason) {
  return REASONS[reason]?.[0] ?? failure(reason);
}

/** Return in a sentence why a reading is missing. */
export function wholeReason(reason) {
  return REASONS[reason]?.[1] ?? failure(reason);
}

/** Return what holds the clocks down or up, in words; null where that was not read. */
export function clockEvents(names) {
  if (names === null || names === undefined) return null;
  return names.length ? names.map((name) => CLOCK_EVENTS[name] ?? name.replaceAll("_", " ")).join("; ") : "nothing";
}

/** Return whether something slows the clocks that somebody should look at. */
export function isAlarming(names) {
  return (names ?? []).some((name) => ALARMING.has(name));
}

function failure(reason) {
  return reason ? reason.replace(/^error: /, "failed: ") : "not told";
}
