import type { AddressBytes } from "@cilium-ts/net";
import { keyOf } from "../context/address-key.ts";
import { type FlowContext, type FlowEndpoint, type FlowReasons, type FlowService, noReasons, type RemotePod } from "../context/context.ts";
import { type Answer, type ContextJournal, indexAt, Lookup, type LookupKey } from "./context-journal.ts";

const noNames: readonly string[] = [];

/** Answers from a journal what was answered when it was written. */
export class RecordedContext implements FlowContext {
  readonly nodeName: string;
  readonly clusterName: string;
  readonly nodeLabels: readonly string[];
  readonly wallClockOffsetNs: bigint;
  readonly #answers = Object.values(Lookup).map(() => new Map<LookupKey, Answer[]>());

  constructor(journal: ContextJournal, wallClockOffsetNs: bigint) {
    const { nodeName, clusterName, nodeLabels, values, rows } = journal;
    this.nodeName = nodeName;
    this.clusterName = clusterName;
    this.nodeLabels = nodeLabels;
    this.wallClockOffsetNs = wallClockOffsetNs;
    const reasons = new Map<number, FlowReasons>();
    for (const [lookup, key, atNs, number] of rows) {
      let value = number < 0 ? undefined : values[number];
      if (lookup === Lookup.policyReasons) {
        const read = reasons.get(number) ?? toReasons(value);
        reasons.set(number, read);
        value = read;
      }
      const byKey = this.#answers[lookup];
      const answers = byKey?.get(key);
      if (answers === undefined) byKey?.set(key, [{ atNs, value }]);
      else answers.splice(indexAt(answers, atNs) + 1, 0, { atNs, value });
    }
  }

  endpointById(id: number, atNs: number): FlowEndpoint | undefined {
    return this.#at(Lookup.endpointById, id, atNs) as FlowEndpoint | undefined;
  }

  endpointByAddress(address: AddressBytes, atNs: number): FlowEndpoint | undefined {
    return this.#at(Lookup.endpointByAddress, keyOf(address), atNs) as FlowEndpoint | undefined;
  }

  remotePodByAddress(address: AddressBytes, atNs: number): RemotePod | undefined {
    return this.#at(Lookup.remotePodByAddress, keyOf(address), atNs) as RemotePod | undefined;
  }

  identityByAddress(address: AddressBytes, atNs: number): number {
    return (this.#at(Lookup.identityByAddress, keyOf(address), atNs) as number | undefined) ?? 0;
  }

  identityLabels(identity: number, atNs: number): readonly string[] | undefined {
    return this.#at(Lookup.identityLabels, identity, atNs) as readonly string[] | undefined;
  }

  policyReasons(cookie: number, atNs: number): FlowReasons {
    return (this.#at(Lookup.policyReasons, cookie, atNs) as FlowReasons | undefined) ?? noReasons;
  }

  namesOf(endpointId: number, address: AddressBytes, atNs: number): readonly string[] {
    if (this.#answers[Lookup.namesOf]?.size === 0) return noNames;
    return (this.#at(Lookup.namesOf, `${endpointId} ${keyOf(address)}`, atNs) as readonly string[] | undefined) ?? noNames;
  }

  serviceOf(address: AddressBytes, port: number, atNs: number): FlowService | undefined {
    if (this.#answers[Lookup.serviceOf]?.size === 0) return undefined;
    return this.#at(Lookup.serviceOf, `${port} ${keyOf(address)}`, atNs) as FlowService | undefined;
  }

  interfaceName(ifindex: number): string | undefined {
    return this.#at(Lookup.interfaceName, ifindex, 0) as string | undefined;
  }

  fileName(file: number): string | undefined {
    return this.#at(Lookup.fileName, file, 0) as string | undefined;
  }

  ipTraceOption(): number {
    return (this.#at(Lookup.ipTraceOption, 0, 0) as number | undefined) ?? 0;
  }

  #at(lookup: number, key: LookupKey, atNs: number): unknown {
    const answers = this.#answers[lookup]?.get(key);
    return answers?.[indexAt(answers, atNs)]?.value;
  }
}

function toReasons(value: unknown): FlowReasons {
  const { policies, logs } = value as { readonly policies: FlowReasons["policies"]; readonly logs: readonly string[] };
  return { policies: policies.map((policy) => ({ ...policy, revision: BigInt(policy.revision) })), logs };
}
