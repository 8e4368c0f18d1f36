import type { CiliumNodeRow } from "../cluster/rows.ts";

/** The oldest first: of two that claim the same, the first keeps it. */
export function byAge(one: Readonly<CiliumNodeRow>, other: Readonly<CiliumNodeRow>): number {
  const [left, right] = [`${one.createdAt} ${one.name}`, `${other.createdAt} ${other.name}`];
  return left < right ? -1 : left > right ? 1 : 0;
}
