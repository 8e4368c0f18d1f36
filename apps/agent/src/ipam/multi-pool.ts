import { randomUUID } from "node:crypto";
import { type AddressPools, allocatePair, type FamilyAddresses, PoolAddresses, type PoolNeed, type PoolShare } from "@cilium-ts/ipam";
import { type KubernetesObject, nodePoolsFrom, operatorProblem, type PodIPPool, parseCiliumPodIPPool } from "@cilium-ts/kubernetes";
import { type AddressBytes, type Family, formatAddress, formatPrefix, type Prefix } from "@cilium-ts/net";
import type { Clock } from "@cilium-ts/std";
import { CniError, cniErrorCode } from "../cni/cni-request.ts";
import { bytesOf, type NodePool, routersOf } from "./node-pool.ts";
import type { PodRanges } from "./pod-ranges.ts";
import { choosePool, type PodPlacement } from "./pool-choice.ts";

export interface MultiPoolOptions {
  /** The pod CIDRs of the routers. */
  readonly ranges: PodRanges;
  /** What the node had when it was last known. */
  readonly shares: readonly PoolShare[];
  readonly defaultPool: string;
  /** Addresses held ready, by pool. */
  readonly reserves: ReadonlyMap<string, number>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Before anything of a new share is given out. */
  keep(shares: readonly PoolShare[]): void;
  /** The node's needs are others. */
  onNeeds(needs: readonly PoolNeed[]): void;
}

/** What the cluster shows of this node. */
interface Shown {
  readonly resourceVersion: string;
  readonly shares: readonly PoolShare[];
}

interface Waiting {
  readonly need: readonly PoolNeed[];
  readonly untilMs: number;
}

/** How long an ADD waits for the operator before the runtime is told to ask again. */
const waitMs = 5_000;
/** How long a pod that was told so counts as one that comes back. */
const waitingMs = 300_000;
/** Pods that wait at a time. Of more the need is not told before some have their addresses. */
const waitingMax = 1_024;

/**
 * The node's addresses in the mode multi-pool. What pods need is asked for in the CiliumNode; the operator gives pod CIDRs by adding them
 * there, and this node gives back what is spare by taking it out.
 */
export class MultiPool implements NodePool {
  readonly pools: Required<AddressPools>;
  readonly routerIPv4: AddressBytes;
  readonly routerIPv6: AddressBytes;
  readonly #options: MultiPoolOptions;
  readonly #addresses: PoolAddresses;
  readonly #pools = new Map<string, PodIPPool>();
  readonly #waiting = new Map<string, Waiting>();
  readonly #listeners = new Set<() => void>();
  #arePoolsKnown = false;
  #shown: Shown | undefined;
  /** The version that we last asked to change: it does not show what came of that. */
  #trimmedVersion = "";
  #problem = "";
  #changed = Promise.withResolvers<void>();

  constructor(options: MultiPoolOptions) {
    this.#options = options;
    const { routerIPv4, routerIPv6 } = routersOf(options.ranges);
    const reserved = [routerIPv4, routerIPv6].map(formatAddress);
    this.#addresses = new PoolAddresses({ reserved, nowMs: () => options.clock.nowMs(), createId: randomUUID });
    this.#addresses.take(options.shares);
    this.routerIPv4 = routerIPv4;
    this.routerIPv6 = routerIPv6;
    this.pools = this.poolsNamed(options.defaultPool);
  }

  poolsNamed(name: string): Required<AddressPools> {
    const { ipv4Range, ipv6Range } = this.#options.ranges;
    return { ipv4: this.#family(name, 4, ipv4Range), ipv6: this.#family(name, 6, ipv6Range) };
  }

  prefixes(): readonly Prefix[] {
    return this.#addresses.prefixes();
  }

  watchPrefixes(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  problem(): string | undefined {
    return this.#problem === "" ? undefined : this.#problem;
  }

  needs(): PoolNeed[] {
    return this.#addresses.needs(
      this.#options.reserves,
      [...this.#waiting.values()].flatMap(({ need }) => need),
    );
  }

  shares(): PoolShare[] {
    return this.#addresses.shares();
  }

  /** A pool's object as it is now; undefined: it is gone. One that is not valid changes nothing. */
  takePool(name: string, object: KubernetesObject | undefined): string[] {
    const { pool, problems } = object === undefined ? { pool: undefined, problems: [] } : parseCiliumPodIPPool(object);
    if (object === undefined) this.#pools.delete(name);
    else if (pool !== undefined) this.#pools.set(name, pool);
    if (this.#arePoolsKnown) this.poolsKnown();
    return problems.map(({ path, message }) => `${path} ${message}`);
  }

  /** All pools have been told of once. */
  poolsKnown(): void {
    this.#arePoolsKnown = true;
    const familiesOf = ({ ipv4, ipv6 }: PodIPPool): [Family, readonly Prefix[]][] => [
      ...(ipv4 === undefined ? [] : [[4, ipv4.prefixes] satisfies [Family, readonly Prefix[]]]),
      ...(ipv6 === undefined ? [] : [[6, ipv6.prefixes] satisfies [Family, readonly Prefix[]]]),
    ];
    this.#addresses.setPools(new Map([...this.#pools].map(([name, pool]) => [name, new Map(familiesOf(pool))])));
    this.#tell();
  }

  /** This node's object as it is now; undefined: it is gone, and what we have stays ours. */
  takeNode(object: KubernetesObject | undefined): void {
    if (object === undefined) {
      this.#shown = undefined;
      return;
    }
    const { resourceVersion = "" } = object.metadata;
    const shares = nodePoolsFrom(object).allocated;
    this.#problem = operatorProblem(object);
    this.#shown = { resourceVersion, shares };
    if (resourceVersion === this.#trimmedVersion) return;
    const before = this.#prefixTexts();
    this.#options.keep([...this.shares(), ...shares]);
    this.#addresses.take(shares);
    if (this.#prefixTexts() !== before) this.#options.keep(this.shares());
    for (const listener of this.#prefixTexts() === before ? [] : this.#listeners) listener();
    this.#tell();
  }

  /** How the object should be changed, and on which version; undefined: not at all. */
  trim(): { readonly resourceVersion: string; readonly shares: readonly PoolShare[] } | undefined {
    if (this.#shown === undefined) return undefined;
    const { resourceVersion, shares } = this.#shown;
    const wanted = this.#addresses.trim(shares, this.needs());
    if (textOf(wanted) === textOf(shares)) return undefined;
    this.#trimmedVersion = resourceVersion;
    return { resourceVersion, shares: wanted };
  }

  async allocate(
    owner: string,
    placement: () => Promise<PodPlacement | undefined>,
  ): Promise<{ readonly ipv4: AddressBytes; readonly ipv6: AddressBytes }> {
    const pod = await placement();
    const over = new AbortController();
    const signal = AbortSignal.any([this.#options.signal, over.signal]);
    let isLate = false;
    const late = this.#options.clock.sleep(waitMs, signal).then(
      () => {
        isLate = true;
      },
      () => {}, // Rejects when we are done, or the agent is.
    );
    try {
      for (;;) {
        const answer = this.#try(owner, pod);
        if (typeof answer !== "string") return answer;
        if (isLate) throw new CniError(cniErrorCode.tryAgainLater, this.#explain(answer));
        this.#options.signal.throwIfAborted();
        await Promise.race([this.#changed.promise, late]);
      }
    } finally {
      over.abort();
    }
  }

  /** Both addresses, or why not; then the need is told. */
  #try(owner: string, pod: PodPlacement | undefined): { readonly ipv4: AddressBytes; readonly ipv6: AddressBytes } | string {
    const names = this.#choose(pod);
    const result = allocatePair({ ipv4: this.poolsNamed(names.ipv4).ipv4, ipv6: this.poolsNamed(names.ipv6).ipv6 }, owner);
    if (result.ok) this.#waiting.delete(owner);
    else if (this.#waiting.has(owner) || this.#waiting.size < waitingMax) {
      const need = [
        { pool: names.ipv4, ipv4: 1, ipv6: 0 },
        { pool: names.ipv6, ipv4: 0, ipv6: 1 },
      ];
      this.#waiting.set(owner, { need, untilMs: this.#options.clock.nowMs() + waitingMs });
    }
    this.#options.onNeeds(this.needs());
    return result.ok ? { ipv4: bytesOf(result.pair.ipv4?.address), ipv6: bytesOf(result.pair.ipv6?.address) } : result.problem;
  }

  claim(address: AddressBytes, owner: string): void {
    const result = this.#addresses.allocate(formatAddress(address), owner);
    if (!result.ok) throw new Error(result.problem);
  }

  release(address: AddressBytes): void {
    if (this.#addresses.release(formatAddress(address))) this.#tell();
  }

  expire(): void {
    const nowMs = this.#options.clock.nowMs();
    for (const [owner, { untilMs }] of [...this.#waiting]) if (untilMs <= nowMs) this.#waiting.delete(owner);
    this.#addresses.expire();
    this.#tell();
  }

  #choose(pod: PodPlacement | undefined): { readonly ipv4: string; readonly ipv6: string } {
    const { defaultPool } = this.#options;
    const choose = (family: "ipv4" | "ipv6"): string => {
      const choice = choosePool(pod, family, { pools: this.#pools.values(), defaultPool });
      if (choice.kind === "chosen") return choice.pool;
      throw new CniError(cniErrorCode.tryAgainLater, choice.problem);
    };
    return { ipv4: choose("ipv4"), ipv6: choose("ipv6") };
  }

  #explain(problem: string): string {
    return this.#problem === "" ? `${problem}; is the operator running?` : `${problem}; the operator says: ${this.#problem}`;
  }

  #tell(): void {
    this.#options.onNeeds(this.needs());
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  #prefixTexts(): string {
    return this.prefixes().map(formatPrefix).sort().join();
  }

  #family(pool: string, family: Family, prefix: Prefix): FamilyAddresses {
    const addresses = this.#addresses;
    return {
      prefix,
      get capacity() {
        return addresses.capacity(family);
      },
      get size() {
        return addresses.snapshot(family).length;
      },
      allocateNext: (owner, expiration) => addresses.allocateNext(pool, family, owner, expiration),
      allocate: (address, owner, expiration) => addresses.allocate(address, owner, expiration),
      release: (address) => addresses.release(address),
      snapshot: () => addresses.snapshot(family),
    };
  }
}

function textOf(shares: readonly PoolShare[]): string {
  return shares
    .flatMap(({ pool, cidrs }) => cidrs.map((cidr) => `${pool} ${cidr}`))
    .sort()
    .join();
}
