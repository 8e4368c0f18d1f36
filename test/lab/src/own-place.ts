/** Of a lab's name, so that the names of its devices fit (`ct-NAME`, and two digits for a node). */
export const labNameLengthMax = 10;

/**
 * A name and a subnet that no other process uses at the same time, for labs of tests and benchmarks. `prefix`: at most 5 characters.
 * The number has always five digits: devices of lab `e123` must not look like those of a node of lab `e12`. `nth`: of the labs that this process has at once, 0 or 1.
 */
export function ownPlace(prefix: string, nth: 0 | 1 = 0): { readonly name: string; readonly subnet: number } {
  const number = process.pid % 100_000;
  return { name: `${prefix}${String(number).padStart(5, "0")}`, subnet: 100 + ((number + 70 * nth) % 140) };
}
