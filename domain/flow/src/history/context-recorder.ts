import type { AddressBytes } from "@cilium-ts/net";
import { keyOf } from "../context/address-key.ts";
import type { FlowContext, FlowEndpoint, FlowReasons, FlowService, RemotePod } from "../context/context.ts";
import { type Answer, type ContextJournal, indexAt, type JournalRow, Lookup, type LookupKey } from "./context-journal.ts";

const noNames: readonly string[] = [];

/**
 * A context that writes down what it answers. Most answers are those of the moment before, and cost two lookups and a comparison;
 * values are told apart by identity, because a context gives the same object for the same answer.
 */
export class ContextRecorder implements FlowContext {
  readonly #context: FlowContext;
  readonly #answers = Object.values(Lookup).map(() => new Map<LookupKey, Answer[]>());
  readonly #numbers = new Map<unknown, number>();
  readonly #values: unknown[] = [];
  readonly #rows: JournalRow[] = [];

  constructor(context: FlowContext) {
    this.#context = context;
  }

  get nodeName(): string {
    return this.#context.nodeName;
  }

  get clusterName(): string {
    return this.#context.clusterName;
  }

  get nodeLabels(): readonly string[] {
    return this.#context.nodeLabels ?? [];
  }

  get wallClockOffsetNs(): bigint {
    return this.#context.wallClockOffsetNs;
  }

  /** Everything since the given numbers of values and rows. */
  journal(since: { readonly values: number; readonly rows: number } = { values: 0, rows: 0 }): ContextJournal {
    const { nodeName, clusterName, nodeLabels } = this;
    return { nodeName, clusterName, nodeLabels, values: this.#values.slice(since.values), rows: this.#rows.slice(since.rows) };
  }

  get valueCount(): number {
    return this.#values.length;
  }

  get rowCount(): number {
    return this.#rows.length;
  }

  endpointById(id: number, atNs: number): FlowEndpoint | undefined {
    return this.#note(Lookup.endpointById, id, atNs, this.#context.endpointById(id, atNs));
  }

  endpointByAddress(address: AddressBytes, atNs: number): FlowEndpoint | undefined {
    return this.#note(Lookup.endpointByAddress, keyOf(address), atNs, this.#context.endpointByAddress(address, atNs));
  }

  remotePodByAddress(address: AddressBytes, atNs: number): RemotePod | undefined {
    return this.#note(Lookup.remotePodByAddress, keyOf(address), atNs, this.#context.remotePodByAddress?.(address, atNs));
  }

  identityByAddress(address: AddressBytes, atNs: number): number {
    return this.#note(Lookup.identityByAddress, keyOf(address), atNs, this.#context.identityByAddress(address, atNs));
  }

  identityLabels(identity: number, atNs: number): readonly string[] | undefined {
    return this.#note(Lookup.identityLabels, identity, atNs, this.#context.identityLabels(identity, atNs));
  }

  policyReasons(cookie: number, atNs: number): FlowReasons {
    return this.#note(Lookup.policyReasons, cookie, atNs, this.#context.policyReasons(cookie, atNs));
  }

  namesOf(endpointId: number, address: AddressBytes, atNs: number): readonly string[] {
    const names = this.#context.namesOf?.(endpointId, address, atNs) ?? noNames;
    const unknown = names.length === 0 && this.#answers[Lookup.namesOf]?.size === 0;
    return unknown
      ? names
      : (this.#note(Lookup.namesOf, `${endpointId} ${keyOf(address)}`, atNs, names.length === 0 ? undefined : names) ?? noNames);
  }

  serviceOf(address: AddressBytes, port: number, atNs: number): FlowService | undefined {
    const service = this.#context.serviceOf?.(address, port, atNs);
    const unknown = service === undefined && this.#answers[Lookup.serviceOf]?.size === 0;
    return unknown ? service : this.#note(Lookup.serviceOf, `${port} ${keyOf(address)}`, atNs, service);
  }

  interfaceName(ifindex: number): string | undefined {
    return this.#once(Lookup.interfaceName, ifindex, () => this.#context.interfaceName(ifindex));
  }

  fileName(file: number): string | undefined {
    return this.#once(Lookup.fileName, file, () => this.#context.fileName(file));
  }

  ipTraceOption(): number {
    return this.#once(Lookup.ipTraceOption, 0, () => this.#context.ipTraceOption?.() ?? 0);
  }

  /** An answer that does not depend on a time is asked for once. */
  #once<V>(lookup: number, key: LookupKey, ask: () => V): V {
    const known = this.#answers[lookup]?.get(key)?.[0];
    return known === undefined ? this.#note(lookup, key, 0, ask()) : (known.value as V);
  }

  /** Events of several CPUs come a little out of order, so an answer is put where its time belongs. */
  #note<V>(lookup: number, key: LookupKey, atNs: number, value: V): V {
    const byKey = this.#answers[lookup];
    const answers = byKey?.get(key);
    if (answers === undefined) {
      if (value === undefined) return value;
      byKey?.set(key, [{ atNs, value }]);
      this.#write(lookup, key, atNs, value);
      return value;
    }
    const index = indexAt(answers, atNs);
    if (answers[index]?.value === value) return value;
    answers.splice(index + 1, 0, { atNs, value });
    this.#write(lookup, key, atNs, value);
    return value;
  }

  #write(lookup: number, key: LookupKey, atNs: number, value: unknown): void {
    this.#rows.push([lookup, key, atNs, value === undefined ? -1 : this.#numberOf(value)]);
  }

  #numberOf(value: unknown): number {
    let number = this.#numbers.get(value);
    if (number === undefined) {
      number = this.#values.push(value) - 1;
      this.#numbers.set(value, number);
    }
    return number;
  }
}
