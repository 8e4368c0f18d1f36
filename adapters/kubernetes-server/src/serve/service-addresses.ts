import { listAt, textAt, valueAt } from "../resources/column.ts";
import { addressAt, canonicalAddress, pickAddress, rangeContains, type ServiceRange } from "../resources/service-range.ts";
import { invalid, type Problem } from "../schema/problem.ts";
import { isObject, type Mutable } from "../schema/schema.ts";
import type { Change, Store } from "../store/store.ts";
import { decodeObject } from "./object-text.ts";

const servicesPrefix = "/core/services/";
const claimsPrefix = "/core/serviceaddressclaims/";
/** A claim that no service has come to use after this time was made by a server that died. */
const claimLifeMs = 60_000;
const sweepIntervalMs = 300_000;

export type Assignment =
  | { readonly outcome: "assigned"; readonly reservation: Reservation }
  | { readonly outcome: "problem"; readonly problem: Problem };

/** Addresses that are kept for a service until it is stored, or is not. */
export interface Reservation extends Disposable {
  /** On a shared store: false when another server was faster with one of the addresses. */
  claim(): Promise<boolean>;
}

export interface ServiceAddressOptions {
  readonly store: Store;
  readonly ranges: readonly ServiceRange[];
  readonly nowMs: () => number;
  /** A whole number below its argument. */
  readonly random: (below: number) => number;
  readonly onError: (error: unknown) => void;
}

/**
 * Hands out the addresses of services, each once. What is used follows from the services in the store; on a store that is shared, a key of
 * its own for each address makes sure that no other server hands it out at the same time.
 */
export class ServiceAddresses implements Disposable {
  readonly #options: ServiceAddressOptions;
  /** The key of the service that has the address. */
  readonly #used = new Map<string, string>();
  readonly #reserved = new Map<string, string>();
  readonly #subscription: Disposable;
  readonly #sweep: NodeJS.Timeout;

  constructor(options: ServiceAddressOptions) {
    this.#options = options;
    const { store } = options;
    const stored = store.list({ prefix: servicesPrefix });
    if (stored.outcome === "listed") for (const { key, text } of stored.items) this.#use(key, text);
    this.#subscription = store.subscribe((changes) => this.#note(changes));
    this.#sweep = setInterval(() => this.#sweepClaims(), sweepIntervalMs).unref();
    this.#sweepClaims();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#sweep);
    this.#subscription[Symbol.dispose]();
  }

  /** The address of the service `default/kubernetes`: the first of the first range. */
  get ownAddress(): string | undefined {
    const [range] = this.#options.ranges;
    return range === undefined ? undefined : addressAt(range, 0n);
  }

  /** Completes the addresses and families of a service that is going to be stored under the key. */
  assign(key: string, service: Mutable): Assignment {
    const { spec } = service;
    const reserved: string[] = [];
    const reservation: Reservation = {
      claim: () => this.#claim(key, reserved),
      [Symbol.dispose]: () => {
        for (const address of reserved) this.#reserved.delete(address);
      },
    };
    if (!isObject(spec) || textAt(spec, "type") === "ExternalName") return { outcome: "assigned", reservation };
    const problem = this.#complete(key, spec, reserved);
    if (problem === undefined) return { outcome: "assigned", reservation };
    reservation[Symbol.dispose]();
    return { outcome: "problem", problem };
  }

  #complete(key: string, spec: Mutable, reserved: string[]): Problem | undefined {
    const given = [valueAt(spec, "clusterIPs") ?? valueAt(spec, "clusterIP") ?? []]
      .flat()
      .map(String)
      .filter((text) => text !== "");
    const isHeadless = given[0] === "None";
    const families = this.#families(spec, isHeadless ? [] : given);
    if ("reason" in families) return families;
    const addresses: string[] = [];
    for (const [index, range] of families.entries()) {
      if (isHeadless) break;
      const address = this.#take(key, range, given[index], addresses);
      if (typeof address !== "string") return address;
      addresses.push(address);
      if (this.#used.get(address) !== key) {
        this.#reserved.set(address, key);
        reserved.push(address);
      }
    }
    spec.clusterIPs = isHeadless ? ["None"] : addresses;
    spec.clusterIP = spec.clusterIPs[0] ?? "";
    spec.ipFamilies = families.map(({ family }) => `IPv${family}`);
    spec.ipFamilyPolicy ??= families.length > 1 ? "RequireDualStack" : "SingleStack";
    return undefined;
  }

  /** The ranges that the service wants an address of, in order. */
  #families(spec: Mutable, given: readonly string[]): readonly ServiceRange[] | Problem {
    const { ranges } = this.#options;
    const policy = textAt(spec, "ipFamilyPolicy") || (given.length > 1 ? "RequireDualStack" : "SingleStack");
    if (policy === "RequireDualStack" && ranges.length < 2)
      return invalid("spec.ipFamilyPolicy", policy, "this cluster is not configured for dual-stack services");
    const named = valueAt(spec, "ipFamilies");
    const families = Array.isArray(named) ? named.map(String) : [];
    const unknown = families.find((family) => !ranges.some((range) => family === `IPv${range.family}`));
    if (unknown !== undefined) return invalid("spec.ipFamilies", families, `not configured on this cluster: ${unknown}`);
    const rangeOf = (address: string) => ranges.find((range) => `${range.family}` === (address.includes(":") ? "6" : "4"));
    const first = ranges.find((range) => families[0] === `IPv${range.family}`) ?? rangeOf(given[0] ?? "") ?? ranges[0];
    if (given[0] !== undefined && rangeOf(given[0]) === undefined) return this.#outside(given[0]);
    const others = policy === "SingleStack" ? [] : ranges.filter((range) => range !== first);
    return first === undefined ? [] : given[0] !== undefined && rangeOf(given[0]) !== first ? [...others, first] : [first, ...others];
  }

  #take(key: string, range: ServiceRange, wanted: string | undefined, taken: readonly string[]): string | Problem {
    const isUsed = (address: string) => {
      const user = this.#used.get(address) ?? this.#reserved.get(address) ?? this.#claimant(address);
      return taken.includes(address) || (user !== undefined && user !== key) || address === this.#keptFor(key);
    };
    if (wanted === undefined) {
      const free = pickAddress(range, isUsed, this.#options.random);
      return free ?? invalid("spec.clusterIPs", [], `failed to allocate IP: the range ${range.text} is full`);
    }
    const address = canonicalAddress(wanted);
    if (address === undefined) return invalid("spec.clusterIPs", [wanted], "must be a valid IP address");
    if (!rangeContains(range, address.bytes)) return this.#outside(wanted, range);
    if (!isUsed(address.text)) return address.text;
    return invalid("spec.clusterIPs", [wanted], `failed to allocate IP ${wanted}: provided IP is already allocated`);
  }

  #outside(wanted: string, range?: ServiceRange): Problem {
    const text = range?.text ?? this.#options.ranges.map((one) => one.text).join(",");
    const why = `failed to allocate IP ${wanted}: the provided network does not match the current range ${text}`;
    return invalid("spec.clusterIPs", [wanted], why);
  }

  /** The first address belongs to the API itself. */
  #keptFor(key: string): string | undefined {
    return key === `${servicesPrefix}default/kubernetes` ? undefined : this.ownAddress;
  }

  #claimant(address: string): string | undefined {
    if (!this.#options.store.isShared) return undefined;
    const claim = this.#options.store.get(claimsPrefix + address);
    return claim === undefined ? undefined : textAt(decodeObject(claim.text), "service");
  }

  async #claim(key: string, addresses: readonly string[]): Promise<boolean> {
    const { store, nowMs } = this.#options;
    if (!store.isShared) return true;
    const encode = () => JSON.stringify({ service: key, atMs: nowMs() });
    for (const address of addresses) {
      if (this.#claimant(address) === key) continue;
      const text = encode();
      const claimed = await store.write({ key: claimsPrefix + address, expected: 0, encode: () => text, deleted: false });
      if (claimed.outcome === "conflict") return false;
    }
    return true;
  }

  #note(changes: readonly Change[]): void {
    for (const { key, text, previous, deleted } of changes) {
      if (!key.startsWith(servicesPrefix)) continue;
      const before = previous === undefined ? [] : addressesIn(previous);
      for (const address of before) if (this.#used.get(address) === key) this.#used.delete(address);
      if (!deleted) this.#use(key, text);
      for (const address of before) if (!this.#used.has(address)) this.#release(address, key);
    }
  }

  #use(key: string, text: string): void {
    for (const address of addressesIn(text)) this.#used.set(address, key);
  }

  #release(address: string, key: string): void {
    const { store, onError } = this.#options;
    const claim = store.isShared ? store.get(claimsPrefix + address) : undefined;
    if (claim === undefined || textAt(decodeObject(claim.text), "service") !== key) return;
    // Every server does so; who comes late finds a conflict, which is as good.
    store.write({ key: claim.key, expected: claim.revision, encode: () => claim.text, deleted: true }).catch(onError);
  }

  #sweepClaims(): void {
    const { store, nowMs } = this.#options;
    const claims = store.isShared ? store.list({ prefix: claimsPrefix }) : undefined;
    if (claims?.outcome !== "listed") return;
    for (const { key, text } of claims.items) {
      const claim = decodeObject(text);
      const address = key.slice(claimsPrefix.length);
      const isOld = Number(claim.atMs) < nowMs() - claimLifeMs;
      if (isOld && this.#used.get(address) !== claim.service) this.#release(address, textAt(claim, "service"));
    }
  }
}

function addressesIn(text: string): readonly string[] {
  const service = decodeObject(text);
  const addresses = valueAt(service, "spec", "clusterIPs");
  return Array.isArray(addresses) ? addresses.map(String).filter((address) => address !== "None" && address !== "") : [];
}

/** The object `default/kubernetes` as a Service. */
export function ownService(address: string, targetPort: number): Mutable {
  return {
    metadata: { name: "kubernetes", namespace: "default", labels: { component: "apiserver", provider: "kubernetes" } },
    spec: { type: "ClusterIP", clusterIP: address, ports: [{ name: "https", port: 443, protocol: "TCP", targetPort }] },
  };
}

/** Where that service is: the addresses of one family under which servers can be reached. */
export function ownEndpoints(family: "IPv4" | "IPv6", addresses: readonly string[], port: number): Mutable {
  return {
    metadata: {
      name: family === "IPv4" ? "kubernetes" : "kubernetes-ipv6",
      namespace: "default",
      labels: { "kubernetes.io/service-name": "kubernetes" },
    },
    addressType: family,
    endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: true } })),
    ports: [{ name: "https", port, protocol: "TCP" }],
  };
}

/** The addresses that the slice names. */
export function addressesOf(slice: Mutable): readonly string[] {
  return listAt(slice, "endpoints").flatMap((endpoint) => {
    const addresses = valueAt(endpoint, "addresses");
    return Array.isArray(addresses) ? addresses.map(String) : [];
  });
}
