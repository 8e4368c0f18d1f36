import type { FlowEndpoint } from "../context/context.ts";
import type { EventView } from "../event.ts";

/**
 * What occurs in a block of events, so that a search need not open it. Undefined: too many different ones to list. Thousands of them are
 * kept in memory, hence the plain form.
 */
export interface BlockSummary {
  /** Bits by verdict. */
  readonly verdicts: number;
  readonly dropReasons: Int32Array | undefined;
  readonly identities: Int32Array | undefined;
  /** Of either side. */
  readonly ports: Int32Array | undefined;
  /** `addressDigest` of either side. */
  readonly addresses: Int32Array | undefined;
  /** `namespace/name` of either side, each behind the end of a line. */
  readonly pods: string | undefined;
}

/** The same as JSON. */
export interface WrittenSummary {
  readonly verdicts: number;
  readonly dropReasons?: readonly number[] | undefined;
  readonly identities?: readonly number[] | undefined;
  readonly ports?: readonly number[] | undefined;
  readonly addresses?: readonly number[] | undefined;
  readonly pods?: readonly string[] | undefined;
}

const listedMax = { dropReasons: 64, identities: 256, ports: 512, addresses: 512, pods: 256 } as const;
type Listed = keyof typeof listedMax;

/** Four bytes that stand for an address: an IPv4 address itself, a mixture of an IPv6 one. */
export function addressDigest(address: Uint8Array): number {
  let digest = 0;
  for (let index = 0; index < address.length; index += 4) {
    const at = (offset: number): number => address[index + offset] ?? 0;
    digest = Math.imul(digest, 0x01000193) ^ ((at(0) << 24) | (at(1) << 16) | (at(2) << 8) | at(3));
  }
  return digest;
}

/** Collects the summary of events as they are looked at. */
export class SummaryCollector {
  #verdicts = 0;
  readonly #numbers = {
    dropReasons: new Set<number>(),
    identities: new Set<number>(),
    ports: new Set<number>(),
    addresses: new Set<number>(),
  };
  readonly #pods = new Set<string>();
  /** Endpoints whose identity and name are noted already. */
  readonly #noted = new WeakSet<FlowEndpoint>();

  add(event: EventView): void {
    this.#verdicts |= 1 << event.verdict;
    const { dropReason } = event;
    if (dropReason !== 0) this.#add("dropReasons", dropReason);
    this.#addAddress(event.sourceAddress);
    this.#addAddress(event.destinationAddress);
    if (event.originalSourceOffset >= 0) this.#addAddress(event.headerSource);
    const { sourcePort, destinationPort } = event.packet;
    this.#add("ports", sourcePort);
    this.#add("ports", destinationPort);
    this.#note(event.source);
    this.#note(event.destination);
  }

  take(): WrittenSummary {
    const listed = (name: Exclude<Listed, "pods">): readonly number[] | undefined => {
      const values = this.#numbers[name];
      return values.size > listedMax[name] ? undefined : [...values];
    };
    return {
      verdicts: this.#verdicts,
      dropReasons: listed("dropReasons"),
      identities: listed("identities"),
      ports: listed("ports"),
      addresses: listed("addresses"),
      pods: this.#pods.size > listedMax.pods ? undefined : [...this.#pods],
    };
  }

  #addAddress(address: Uint8Array | undefined): void {
    if (address !== undefined) this.#add("addresses", addressDigest(address));
  }

  #add(name: Exclude<Listed, "pods">, value: number): void {
    const values = this.#numbers[name];
    if (values.size <= listedMax[name]) values.add(value);
  }

  #note(endpoint: FlowEndpoint | undefined): void {
    if (endpoint === undefined) {
      this.#add("identities", 0);
      return;
    }
    if (this.#noted.has(endpoint)) return;
    this.#noted.add(endpoint);
    this.#add("identities", endpoint.identity);
    if (this.#pods.size <= listedMax.pods) this.#pods.add(`${endpoint.namespace}/${endpoint.podName}`);
  }
}

export function readSummary(written: WrittenSummary): BlockSummary {
  const listOf = (values: readonly number[] | undefined): Int32Array | undefined =>
    values === undefined ? undefined : Int32Array.from(values);
  return {
    verdicts: written.verdicts,
    dropReasons: listOf(written.dropReasons),
    identities: listOf(written.identities),
    ports: listOf(written.ports),
    addresses: listOf(written.addresses),
    pods: written.pods?.map((pod) => `\n${pod}`).join(""),
  };
}
