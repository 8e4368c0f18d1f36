import type { LocalIdentity, LocalIdentityAllocator } from "@cilium-ts/identity";
import type { Labels } from "@cilium-ts/labels";
import {
  type CidrGroup,
  canonicalName,
  type LearnedName,
  LearnedNames,
  type LearnedNamesOptions,
  type NamedPort,
  type PolicyChange,
  type PolicyEngine,
  type PolicyMode,
  type PolicyService,
  type Rule,
} from "@cilium-ts/policy";
import { IdentityPorts, type PortOwner } from "./identity-ports.ts";
import { NameIdentities, type NameMove } from "./name-identities.ts";

export interface PolicyUpdatesOptions {
  readonly engine: PolicyEngine;
  readonly localIdentities: LocalIdentityAllocator;
  readonly names?: LearnedNamesOptions;
  /** The number that a prefix should have: its own of an earlier run, which entries in the kernel still mean, or one that means nothing there. */
  wantedIdentity(prefix: string): number | undefined;
  /** The kernel learns whose the addresses of a prefix are, or forgets it. */
  claimPrefix(prefix: string, identity: LocalIdentity): void;
  releasePrefix(prefix: string): void;
  /** The same of an address that has a name which rules mean. */
  claimAddress(address: string, identity: LocalIdentity): void;
  releaseAddress(address: string): void;
  /** Every endpoint with one of these subjects gets its policy again. */
  regenerate(subjects: ReadonlySet<string>, revision: number): void;
  /** The kernel judges by this revision now. */
  onCarriedOut?(revision: number): void;
  onProblem(message: string): void;
}

/**
 * Carries changes of rules and identities to the endpoints, in an order in which no packet is judged by half a change: a new prefix gets
 * its identity, every policy learns it, and only then do addresses move to it; a prefix goes the other way round.
 * Changes that arrive in one turn are carried out together.
 */
export class PolicyUpdates {
  readonly #options: PolicyUpdatesOptions;
  readonly #affected = new Set<string>();
  readonly #prefixesAdded = new Set<string>();
  readonly #prefixesRemoved = new Set<string>();
  readonly #names: LearnedNames;
  readonly #nameIdentities: NameIdentities;
  readonly #rules = new Map<string, readonly Rule[]>();
  readonly #cidrGroups = new Map<string, CidrGroup>();
  readonly #services = new Map<string, PolicyService>();
  readonly #labels = new Map<number, Labels>();
  readonly #ports = new IdentityPorts();
  #scheduled = false;
  #open = false;
  #revision = 1;

  constructor(options: PolicyUpdatesOptions) {
    this.#options = options;
    const { localIdentities, onProblem } = options;
    this.#names = new LearnedNames(options.names);
    const isLeaving = (prefix: string): boolean => this.#prefixesRemoved.has(prefix);
    const wantedIdentity = (prefix: string): number | undefined => options.wantedIdentity(prefix);
    this.#nameIdentities = new NameIdentities({ names: this.#names, localIdentities, isLeaving, wantedIdentity, onProblem });
  }

  /** Names that are known, their addresses, patterns that rules have, and what was not learned because there was too much. */
  get names(): Pick<LearnedNames, "size" | "addressCount" | "patterns" | "refused"> {
    return this.#names;
  }

  /** A name server has answered. Rules about the name hold for the addresses when this has been carried out (`flush`). */
  learnName(name: string, addresses: readonly string[], ttlS: number, nowS: number): void {
    this.#touchNames(this.#names.learn(canonicalName(name), addresses, ttlS, nowS));
  }

  /** Addresses of names whose time is over. */
  expiredNames(nowS: number): ReadonlySet<string> {
    return this.#names.expired(nowS);
  }

  /** Forgets what has expired, but for what a connection still uses. */
  expireNames(nowS: number, isUsed: (address: string) => boolean): void {
    this.#touchNames(this.#names.expire(nowS, isUsed));
  }

  /** What an earlier run had learned, before anything is carried out. */
  restoreNames(names: Iterable<LearnedName>, graceS: number, nowS: number): void {
    this.#touchNames(this.#names.restore(names, graceS, nowS));
  }

  forgetNames(matches: (name: string) => boolean): void {
    this.#touchNames(this.#names.forget(matches));
  }

  /** Moves with every change of a policy. */
  get revision(): number {
    return this.#revision;
  }

  /**
   * Until every source has delivered, nothing is carried out: what an earlier run enforced stays in force. `first` brings what was restored
   * up to date, before addresses move to identities that only new policies know.
   */
  open(first: () => void = () => {}): void {
    this.#open = true;
    this.#carryOut(first);
  }

  upsertPolicy(key: string, rules: readonly Rule[]): void {
    this.#revision += 1;
    this.#rules.set(key, rules);
    this.#take(this.#options.engine.upsertPolicy(key, rules));
  }

  removePolicy(key: string): void {
    this.#revision += 1;
    this.#rules.delete(key);
    this.#take(this.#options.engine.removePolicy(key));
  }

  upsertCidrGroup(group: CidrGroup): void {
    this.#revision += 1;
    this.#cidrGroups.set(group.name, group);
    this.#take(this.#options.engine.upsertCidrGroup(group));
  }

  removeCidrGroup(name: string): void {
    this.#revision += 1;
    this.#cidrGroups.delete(name);
    this.#take(this.#options.engine.removeCidrGroup(name));
  }

  upsertService(service: PolicyService): void {
    this.#services.set(`${service.namespace}/${service.name}`, service);
    this.#take(this.#options.engine.upsertService(service));
  }

  removeService(namespace: string, name: string): void {
    this.#services.delete(`${namespace}/${name}`);
    this.#take(this.#options.engine.removeService(namespace, name));
  }

  services(): PolicyService[] {
    return [...this.#services.values()];
  }

  get mode(): PolicyMode {
    return this.#options.engine.mode;
  }

  /** Until the next start, which goes by the settings. */
  setMode(mode: PolicyMode): void {
    this.#revision += 1;
    this.#take(this.#options.engine.setMode(mode));
  }

  /** Of one policy; none when there is none of that key. */
  rulesOf(key: string): readonly Rule[] {
    return this.#rules.get(key) ?? [];
  }

  /** All rules in force. */
  rules(): Rule[] {
    return [...this.#rules.values()].flat();
  }

  cidrGroups(): CidrGroup[] {
    return [...this.#cidrGroups.values()];
  }

  upsertIdentity(id: number, labels: Labels): void {
    this.#labels.set(id, labels);
    this.#tellIdentity(id);
  }

  removeIdentity(id: number): void {
    if (!this.#labels.delete(id)) return;
    this.#take(this.#options.engine.removeIdentity(id));
  }

  /** What an endpoint, of this node or another, calls its ports. */
  setNamedPorts(owner: PortOwner, identity: number, ports: readonly NamedPort[]): void {
    if (this.#ports.has(owner, identity, ports)) return;
    for (const changed of this.#ports.set(owner, identity, ports)) this.#tellIdentity(changed);
  }

  removeNamedPorts(owner: PortOwner): void {
    for (const changed of this.#ports.remove(owner)) this.#tellIdentity(changed);
  }

  /** Carries out what has gathered, now. */
  flush(): void {
    if (this.#scheduled) this.#carryOut(() => {});
  }

  #carryOut(first: () => void): void {
    this.#scheduled = false;
    if (!this.#open) return;
    if (this.#prefixesAdded.size + this.#prefixesRemoved.size > 0) this.#nameIdentities.touchAll();
    const added = this.#allocate();
    const moves = this.#nameIdentities.takeMoves();
    for (const { identity } of moves) if (identity !== undefined) this.#tellLocal(identity);
    first();
    this.#regenerate();
    for (const identity of added) this.#options.claimPrefix(identity.prefix, identity);
    this.#move(moves);
    this.#retire();
    this.#regenerate();
    this.#options.onCarriedOut?.(this.#revision);
  }

  #tellIdentity(id: number): void {
    const labels = this.#labels.get(id);
    if (labels === undefined) return;
    this.#take(this.#options.engine.upsertIdentity(id, labels, this.#ports.of(id)));
  }

  #take(change: PolicyChange): void {
    for (const subject of change.affected) this.#affected.add(subject);
    for (const prefix of change.prefixesAdded) if (!this.#prefixesRemoved.delete(prefix)) this.#prefixesAdded.add(prefix);
    for (const pattern of change.patternsAdded) this.#nameIdentities.touch(this.#names.addPattern(pattern));
    for (const pattern of change.patternsRemoved) this.#nameIdentities.touch(this.#names.removePattern(pattern));
    for (const prefix of change.prefixesRemoved) if (!this.#prefixesAdded.delete(prefix)) this.#prefixesRemoved.add(prefix);
    this.#schedule();
  }

  #touchNames(addresses: ReadonlySet<string>): void {
    if (addresses.size === 0) return;
    this.#nameIdentities.touch(addresses);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled || !this.#open) return;
    this.#scheduled = true;
    queueMicrotask(() => this.flush());
  }

  #tellLocal({ id, labels }: LocalIdentity): void {
    for (const subject of this.#options.engine.upsertIdentity(id, labels).affected) this.#affected.add(subject);
  }

  /** All addresses first: an identity goes when none is left that has it. */
  #move(moves: readonly NameMove[]): void {
    for (const { address, identity } of moves) {
      if (identity === undefined) this.#options.releaseAddress(address);
      else this.#options.claimAddress(address, identity);
    }
    for (const move of moves) {
      const gone = this.#nameIdentities.release(move);
      if (gone !== undefined) for (const subject of this.#options.engine.removeIdentity(gone.id).affected) this.#affected.add(subject);
    }
  }

  #allocate(): LocalIdentity[] {
    const allocated: LocalIdentity[] = [];
    for (const prefix of this.#prefixesAdded) {
      const result = this.#options.localIdentities.acquire(prefix, this.#options.wantedIdentity(prefix));
      if (!result.ok) {
        this.#options.onProblem(result.problem);
        continue;
      }
      this.#tellLocal(result.identity);
      allocated.push(result.identity);
    }
    this.#prefixesAdded.clear();
    return allocated;
  }

  #retire(): void {
    for (const prefix of this.#prefixesRemoved) {
      this.#options.releasePrefix(prefix);
      const identity = this.#options.localIdentities.release(prefix);
      if (identity === undefined) continue;
      this.#labels.delete(identity.id);
      for (const subject of this.#options.engine.removeIdentity(identity.id).affected) this.#affected.add(subject);
    }
    this.#prefixesRemoved.clear();
  }

  #regenerate(): void {
    if (this.#affected.size === 0) return;
    const subjects = new Set(this.#affected);
    this.#affected.clear();
    this.#options.regenerate(subjects, this.#revision);
  }
}
