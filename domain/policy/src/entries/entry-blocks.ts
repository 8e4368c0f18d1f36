import { hash } from "node:crypto";
import type { Redirect } from "../rules/layer7.ts";
import { mixBits } from "../rules/mix-bits.ts";
import type { OriginLists, OriginSet } from "../rules/origin-lists.ts";
import { decodePortKey, type PortKey } from "../rules/port-prefix.ts";
import type { Direction } from "../rules/rule.ts";
import type { Outcome } from "./settle.ts";
import { matchTypeOf, precedenceOf, settledPrecedenceOf, type VerdictEntry } from "./verdict.ts";

/** 64 bits that stand for the redirect. */
const redirectHashes = new WeakMap<Redirect, readonly [high: number, low: number]>();

function redirectHash(redirect: Redirect): readonly [high: number, low: number] {
  let known = redirectHashes.get(redirect);
  if (known === undefined) {
    const digest = hash("sha256", redirect.key, "buffer");
    known = [digest.readInt32LE(0), digest.readInt32LE(4)];
    redirectHashes.set(redirect, known);
  }
  return known;
}

const noOrigins: VerdictEntry["origins"] = Object.freeze([]);
const outcomeCodes: Readonly<Record<Outcome["says"], number>> = { allow: 1, deny: 2, drop: 3 };

/** The entries of one identity in one direction, ascending by port key, with 64 bits that stand for their content. */
export class Block {
  readonly identity: number;
  readonly entries: VerdictEntry[] = [];
  hashHigh = 0;
  hashLow = 0;

  constructor(identity: number) {
    this.identity = identity;
  }

  add(direction: Direction, key: PortKey, deny: boolean, origins: OriginSet, lists: OriginLists): void {
    const { protocol, port, length } = decodePortKey(key);
    this.entries.push({
      direction,
      identity: this.identity,
      protocol,
      port,
      portPrefixLength: length,
      deny,
      unallowed: false,
      audit: false,
      redirect: undefined,
      precedence: precedenceOf(deny, protocol, length),
      match: matchTypeOf(this.identity, protocol, length),
      origins: lists.listOf(origins),
    });
    this.#mix(deny ? ~key : key, origins);
  }

  addSettled(direction: Direction, key: PortKey, { says, audit, redirect, origins }: Outcome, lists: OriginLists): void {
    const { protocol, port, length } = decodePortKey(key);
    this.entries.push({
      direction,
      identity: this.identity,
      protocol,
      port,
      portPrefixLength: length,
      deny: says === "deny",
      unallowed: says === "drop",
      audit,
      redirect,
      precedence: settledPrecedenceOf(this.identity, protocol, length),
      match: matchTypeOf(this.identity, protocol, length),
      origins: origins === undefined ? noOrigins : lists.listOf(origins),
    });
    const [high, low] = redirect === undefined ? [0, 0] : redirectHash(redirect);
    this.#mix(mixBits(key ^ high) ^ (outcomeCodes[says] + (audit ? 4 : 0)) ^ low, origins);
  }

  #mix(word: number, origins: OriginSet | undefined): void {
    this.hashHigh = mixBits(this.hashHigh ^ (origins?.hashHigh ?? 0) ^ mixBits(word));
    this.hashLow = mixBits(this.hashLow + (origins?.hashLow ?? 0) + word);
  }
}

/** Beyond this many changes at once going through all is quicker than putting each in its place. */
const placedOneByOneMax = 64;

/** Blocks by identity, ascending. */
export class BlockList {
  #blocks: Block[] = [];

  all(): readonly Block[] {
    return this.#blocks;
  }

  /** The same blocks, which change apart from these. */
  copy(): BlockList {
    const copy = new BlockList();
    copy.#blocks = this.#blocks.slice();
    return copy;
  }

  /** In any order, each identity once. */
  replaceAll(blocks: Block[]): void {
    this.#blocks = blocks.sort(byIdentity);
  }

  /** Undefined: the identity has no entries any more. */
  change(changes: ReadonlyMap<number, Block | undefined>): void {
    if (changes.size > placedOneByOneMax) {
      const kept = this.#blocks.filter(({ identity }) => !changes.has(identity));
      for (const block of changes.values()) if (block !== undefined) kept.push(block);
      this.replaceAll(kept);
      return;
    }
    for (const [identity, block] of changes) {
      const index = this.#position(identity);
      const present = this.#blocks[index]?.identity === identity;
      if (block === undefined) {
        if (present) this.#blocks.splice(index, 1);
      } else if (present) this.#blocks[index] = block;
      else this.#blocks.splice(index, 0, block);
    }
  }

  /** Index of the first block whose identity is not smaller. */
  #position(identity: number): number {
    let low = 0;
    let high = this.#blocks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#blocks[middle]?.identity ?? 0) < identity) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function byIdentity(a: Block, b: Block): number {
  return a.identity - b.identity;
}
