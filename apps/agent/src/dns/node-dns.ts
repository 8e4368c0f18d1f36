import { randomFillSync } from "node:crypto";
import { type Answer, type AskedServer, type Asker, DnsProxy, type Outcome, type Question } from "@cilium-ts/dns-proxy";
import type { L7Record } from "@cilium-ts/flow";
import type { Kernel } from "@cilium-ts/kernel";
import type { Log } from "@cilium-ts/log";
import { parseAddress } from "@cilium-ts/net";
import { EndpointLookups, type LearnedName, type Lookup, type NamesChange } from "@cilium-ts/policy";
import { type Clock, errorMessage } from "@cilium-ts/std";
import type { FlowHistory } from "../flow-history.ts";
import type { PolicyUpdates } from "../policy/policy-updates.ts";
import type { NodeProxies, ProxiedConnection, ProxyPlace } from "../proxies/node-proxies.ts";
import { dnsRecord, type SeenByProxy } from "./dns-flow.ts";
import type { DnsSettings } from "./dns-settings.ts";
import type { LookupsFile } from "./lookups-file.ts";
import { NameRules } from "./name-rules.ts";

export interface NodeDnsOptions {
  readonly kernel: Kernel;
  readonly clock: Clock;
  readonly log: Log;
  readonly settings: DnsSettings;
  readonly proxies: Pick<NodeProxies, "open" | "find">;
  readonly updates: PolicyUpdates;
  readonly flows: Pick<FlowHistory, "setNames">;
  readonly file: LookupsFile;
  /** Those of the addresses that some connection has at its far end. */
  addressesInUse(addresses: ReadonlySet<string>): ReadonlySet<string>;
  hasEndpoint(id: number): boolean;
  /** Whether policy only judges the endpoint and reports: then nothing is refused. */
  isAudited(id: number): boolean;
  /** Whether the kernel knows of the address what the ipcache says. */
  isRealised(address: string): boolean;
  onRecord(record: L7Record): void;
  onOutcome(outcome: Outcome, seconds: number | undefined): void;
  /** Answers were released before what they say was in force. */
  onLateUpdate(): void;
  onForgotten(count: number): void;
}

const protocolNumbers = { TCP: 6, UDP: 17 } as const;
/** What an earlier run had learned lasts this long at least, so that pods can ask again. */
const graceS = 30;
const pollMs = 5;

/** The names that pods of this node ask for: judged, learned, put in force before the pod hears of them, and remembered. */
export class NodeDns implements AsyncDisposable {
  readonly lookups = new EndpointLookups();
  readonly #options: NodeDnsOptions;
  readonly #rules = new NameRules();
  readonly #ids = new Uint16Array(1_024);
  readonly #proxy: DnsProxy | undefined;
  #nextId = this.#ids.length;
  #fileFails = false;
  #lost = 0;

  /** Before any policy is realised. */
  constructor(options: NodeDnsOptions) {
    this.#options = options;
    if (options.settings.enabled) this.#proxy = options.proxies.open("dns", "egress", (place) => this.#listen(place));
  }

  /** Answers that had nothing to do with their question, or could not be sent. */
  get lost(): number {
    return this.#lost;
  }

  /** How many addresses each endpoint keeps only because a connection uses them. */
  zombies(): Map<number, number> {
    const counts = new Map<number, number>();
    const nowS = this.#nowS();
    for (const { endpointId, expiresS } of this.lookups.all())
      if (expiresS <= nowS) counts.set(endpointId, (counts.get(endpointId) ?? 0) + 1);
    return counts;
  }

  /** Takes up what an earlier run had learned, and what is known beforehand, before policy is carried out. */
  restore(known: readonly LearnedName[]): void {
    const { file, updates, hasEndpoint } = this.#options;
    const nowS = this.#nowS();
    const lookups = file
      .read()
      .filter(({ endpointId }) => hasEndpoint(endpointId))
      .map((lookup): Lookup => ({ ...lookup, expiresS: Math.max(lookup.expiresS, nowS + graceS) }));
    this.#tellFlows(this.lookups.add(lookups));
    updates.restoreNames([...lookups, ...known], graceS, nowS);
    this.#write();
  }

  /** Until aborted. */
  async serve(signal: AbortSignal): Promise<void> {
    await this.#proxy?.serve(signal);
  }

  /** Forgets what has expired and no connection uses. */
  expire(): void {
    const { updates, addressesInUse, onForgotten } = this.#options;
    const nowS = this.#nowS();
    const late = new Set<string>();
    for (const { address, expiresS } of this.lookups.all()) if (expiresS <= nowS) late.add(address);
    for (const address of updates.expiredNames(nowS)) late.add(address);
    if (late.size === 0) return;
    const used = addressesInUse(late);
    const isUsed = (address: string): boolean => used.has(address);
    const forgotten = this.lookups.expire(nowS, isUsed);
    updates.expireNames(nowS, isUsed);
    this.#tellFlows(forgotten);
    if (forgotten.length > 0) onForgotten(forgotten.length);
    if (forgotten.length > 0 || this.#options.file.isLong) this.#write();
  }

  endpointGone(id: number): void {
    if (this.#tellFlows(this.lookups.forgetEndpoint(id)) > 0) this.#write();
  }

  /** Names that operators no longer trust; rules about them hold for nobody until somebody asks again. */
  forget(matches: (name: string) => boolean): void {
    this.#tellFlows(this.lookups.forgetNames(matches));
    this.#options.updates.forgetNames(matches);
    this.#options.updates.flush();
    this.#write();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#proxy?.[Symbol.asyncDispose]();
  }

  #listen({ port, mark }: ProxyPlace): DnsProxy {
    const { kernel, clock, settings, onOutcome } = this.#options;
    const { refusedWith, inFlightMax, answerDelayMsMax } = settings;
    return new DnsProxy({
      kernel,
      clock,
      port,
      mark,
      refusedWith,
      inFlightMax,
      answerDelayMsMax,
      timeoutMs: 10_000,
      judge: (asked) => this.judge(asked, port),
      onOutcome: (outcome, _transport, seconds) => onOutcome(outcome, seconds),
      onLost: () => {
        this.#lost += 1;
      },
      randomId: () => this.#randomId(),
    });
  }

  /** Who asks, by the connection as the kernel has judged it. Undefined: nobody whom policy leads here. */
  judge(asked: AskedServer, proxyPort: number): Asker | undefined {
    const { client, server, transport } = asked;
    const ends = {
      protocol: protocolNumbers[transport],
      source: client.address,
      sourcePort: client.port,
      destination: server.address,
      destinationPort: server.port,
    };
    const connection = this.#options.proxies.find(ends, "egress");
    if (connection === undefined) return undefined;
    const { endpointId, mark, redirect } = connection;
    const seen = (): SeenByProxy => ({ asked, connection, timeNs: Number(this.#options.kernel.monotonicNs()), proxyPort });
    return {
      endpointId,
      mark,
      allows: (name) => this.#rules.allows(redirect, name) || this.#options.isAudited(endpointId),
      onQuestion: (question, verdict) => {
        const audited = verdict === "forwarded" && !this.#rules.allows(redirect, question.name);
        this.#options.onRecord(dnsRecord(seen(), question, { verdict: audited ? "audited" : verdict }));
      },
      onAnswer: (question, answer, latencyMs) => {
        const inForce = this.#learn(connection, question, answer);
        this.#options.onRecord(dnsRecord(seen(), question, { answer, latencyMs }));
        return inForce;
      },
    };
  }

  /** In this order: the disk, so that the next run knows it; flows; policies; and only then the pod. */
  #learn({ endpointId }: ProxiedConnection, { name }: Question, { addresses, ttlS: answeredS }: Answer): Promise<void> | undefined {
    if (addresses.length === 0) return undefined;
    const { updates, settings, isRealised } = this.#options;
    const lookedUpS = this.#nowS();
    const ttlS = Math.max(answeredS, settings.ttlSMin);
    const lookups = addresses.map((address) => ({ endpointId, name, address, lookedUpS, ttlS, expiresS: lookedUpS + ttlS }));
    const changes = this.lookups.add(lookups);
    if (changes.length > 0) this.#append(lookups);
    this.#tellFlows(changes);
    updates.learnName(name, addresses, ttlS, lookedUpS);
    updates.flush();
    return addresses.every(isRealised) ? undefined : this.#untilRealised(addresses);
  }

  /** The kernel has refused a write: it is tried again by whom keeps the ipcache. */
  async #untilRealised(addresses: readonly string[]): Promise<void> {
    const { isRealised, settings, clock, onLateUpdate } = this.#options;
    const endMs = clock.nowMs() + settings.answerDelayMsMax;
    while (!addresses.every(isRealised)) {
      if (clock.nowMs() >= endMs) {
        onLateUpdate();
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, pollMs));
    }
  }

  #tellFlows(changes: readonly NamesChange[]): number {
    for (const { endpointId, address, names } of changes) {
      const bytes = parseAddress(address);
      if (bytes !== undefined) this.#options.flows.setNames(endpointId, bytes, names);
    }
    return changes.length;
  }

  #append(lookups: readonly Lookup[]): void {
    this.#keep(() => this.#options.file.append(lookups));
  }

  #write(): void {
    this.#keep(() => this.#options.file.write(this.lookups.all()));
  }

  /** A disk that takes nothing costs names only at the next start. */
  #keep(write: () => void): void {
    try {
      write();
      this.#fileFails = false;
    } catch (cause) {
      if (!this.#fileFails)
        this.#options.log.error(`names that pods have looked up are not kept for the next start: ${errorMessage(cause)}`);
      this.#fileFails = true;
    }
  }

  #randomId(): number {
    if (this.#nextId >= this.#ids.length) {
      randomFillSync(this.#ids);
      this.#nextId = 0;
    }
    this.#nextId += 1;
    return this.#ids[this.#nextId - 1] ?? 0;
  }

  #nowS(): number {
    return this.#options.clock.nowMs() / 1_000;
  }
}
