import { networkInterfaces } from "node:os";

/** Above are those of `./dev up` and of labs with a name of their own. */
const [subnetMin, subnetCount] = [100, 140];

/** Of a lab's name, so that the names of its devices fit (`ct-NAME`, and two digits for a node). */
export const labNameLengthMax = 10;

/**
 * A name and a subnet that no other process uses at the same time, for labs of tests and benchmarks. `prefix`: at most 5 characters.
 * The number has always five digits: devices of lab `e123` must not look like those of a node of lab `e12`. `nth`: of the labs that this process has at once, 0 or 1.
 */
export function ownPlace(prefix: string, nth: 0 | 1 = 0): { readonly name: string; readonly subnet: number } {
  const number = process.pid % 100_000;
  const taken = new Set(Object.values(networkInterfaces()).flatMap((addresses = []) => addresses.map(({ address }) => address)));
  let subnet = subnetMin + ((number + 70 * nth) % subnetCount);
  for (let tries = 1; tries < subnetCount && taken.has(`172.31.${subnet}.1`); tries += 1) {
    subnet = subnetMin + ((subnet + 1 - subnetMin) % subnetCount);
  }
  return { name: `${prefix}${String(number).padStart(5, "0")}`, subnet };
}
