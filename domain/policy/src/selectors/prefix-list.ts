import { type Prefix, prefixContains } from "@cilium-ts/net";

interface Member {
  readonly prefix: Prefix;
  readonly id: number;
}

/** Identities in the order of their prefixes, so that those inside a prefix stand together. */
export class PrefixList {
  readonly #members = { 4: [] as Member[], 16: [] as Member[] };

  add(prefix: Prefix, id: number): void {
    const members = this.#of(prefix);
    members.splice(position(members, prefix, id), 0, { prefix, id });
  }

  remove(prefix: Prefix, id: number): void {
    const members = this.#of(prefix);
    const index = position(members, prefix, id);
    if (members[index]?.id === id) members.splice(index, 1);
  }

  /** Those inside the prefix, or equal to it. */
  *inside(prefix: Prefix): IterableIterator<Member> {
    const members = this.#of(prefix);
    for (let index = position(members, prefix, -1); index < members.length; index += 1) {
      const member = members[index];
      if (member === undefined || !prefixContains(prefix, member.prefix)) return;
      yield member;
    }
  }

  #of(prefix: Prefix): Member[] {
    return this.#members[prefix.address.length === 4 ? 4 : 16];
  }
}

/** Index of the first member that does not come before. */
function position(members: readonly Member[], prefix: Prefix, id: number): number {
  let low = 0;
  let high = members.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const member = members[middle];
    if (member !== undefined && compare(member, prefix, id) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

function compare(member: Member, prefix: Prefix, id: number): number {
  const { address, length } = member.prefix;
  for (let index = 0; index < address.length; index += 1) {
    const difference = (address[index] ?? 0) - (prefix.address[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return length - prefix.length || member.id - id;
}
