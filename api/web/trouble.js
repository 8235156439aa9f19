/** What is wrong with a GPU that answers: errors that the driver reported, and memory that fails. Pure. */

import { counted, moment } from "./units.js";

const COUNTS = ["ecc_errors_uncorrected_volatile_count"];
const FLAGS = ["remapped_rows_failed", "remapped_rows_pending", "retired_pages_pending"];

/** Return sentences, the gravest first. @param {(name: string) => {title: string, meaning: string}} told */
export function troubles(gpu, told) {
  return [
    ...xid(gpu.xid_errors),
    ...COUNTS.filter((name) => gpu[name] > 0).map((name) => `${told(name).title}: ${gpu[name]}`),
    ...FLAGS.filter((name) => gpu[name] === true).map((name) => `${told(name).title}: ${asFact(told(name).meaning)}`),
  ];
}

function xid(errors) {
  if (!errors?.last) return [];
  const { code, text, heard_at_ns: heardAt } = errors.last;
  const total = Object.values(errors.counts).reduce((sum, count) => sum + count, 0);
  const named = text ? `XID ${code}, ${text}` : `XID ${code}`;
  return [`${named}, at ${moment(heardAt / 1e9)} (${counted(total, "XID error")} since the collector started)`];
}

/** `Whether rows wait` is what the catalogue says; where it is so, rows wait. */
function asFact(meaning) {
  return meaning.replace(/^Whether /, "");
}
