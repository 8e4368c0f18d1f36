import { CompiledRule, type Requirements } from "../rules/compiled-rule.ts";
import type { NamedPort, Peer, Rule, RuleSection } from "../rules/rule.ts";
import type { SelectorCache } from "../selectors/selector-cache.ts";
import { DirectionTable, type TableContext } from "./direction-table.ts";
import { createResolvedPolicy, type ResolvedDirection } from "./resolution.ts";
import type { ResolvedPolicy } from "./verdict.ts";

export interface GroupOptions {
  readonly init: boolean;
  readonly namedPorts: readonly NamedPort[];
  readonly cache: SelectorCache;
  readonly allowLocalhost: boolean;
  readonly peerNamedPorts: ReadonlyMap<number, readonly NamedPort[]>;
  mode(): "default" | "always" | "never";
  /** Told when the result may have become another. */
  onTouched(group: SubjectGroup): void;
}

/**
 * Subjects that the same rules select and that mean the same by port names: they have one result. The group follows its rules as they
 * come and go, so that a change costs what it touches.
 */
export class SubjectGroup {
  readonly init: boolean;
  /** Keys of subjects. */
  readonly subjects = new Set<string>();
  /** Under which the engine finds the group. */
  key = "";
  /** Sums of the hashes of its rules: the same whatever order they came in. */
  hash: readonly [number, number] = [0, 0];
  namedPorts: readonly NamedPort[];
  /** Rules whose ingress names ports by the subject's own names. */
  ownPortNameRuleCount = 0;
  readonly #options: GroupOptions;
  /** What the tables hold for each rule: the rule, or a copy that fulfils the requirements of the others. */
  readonly #rules = new Map<CompiledRule, CompiledRule>();
  readonly #requiring = new Set<CompiledRule>();
  #requirementsKey = "";
  #ingress: DirectionTable;
  #egress: DirectionTable;
  #result: ResolvedPolicy | undefined;

  constructor(options: GroupOptions) {
    this.#options = options;
    this.init = options.init;
    this.namedPorts = options.namedPorts;
    const context = this.#tableContext();
    this.#ingress = new DirectionTable("ingress", context);
    this.#egress = new DirectionTable("egress", context);
  }

  /** A group of the same rules, without subjects and found by nobody yet. */
  copy(): SubjectGroup {
    const copy = new SubjectGroup({ ...this.#options, namedPorts: this.namedPorts });
    copy.hash = this.hash;
    if (this.#requirementsKey !== "") {
      // Rules that fulfil the requirements of others are held by each group for itself.
      copy.change([], this.#rules.keys());
      return copy;
    }
    for (const rule of this.#rules.keys()) copy.#rules.set(rule, rule);
    for (const rule of this.#requiring) copy.#requiring.add(rule);
    copy.ownPortNameRuleCount = this.ownPortNameRuleCount;
    const context = copy.#tableContext();
    copy.#ingress = this.#ingress.copy(context);
    copy.#egress = this.#egress.copy(context);
    return copy;
  }

  get rules(): Iterable<CompiledRule> {
    return this.#rules.keys();
  }

  get ruleCount(): number {
    return this.#rules.size;
  }

  has(rule: CompiledRule): boolean {
    return this.#rules.has(rule);
  }

  /** What stands for the rule here: itself, or a copy that fulfils the requirements of the others. */
  heldFor(rule: CompiledRule): CompiledRule {
    return this.#rules.get(rule) ?? rule;
  }

  /** Takes rules out first, so that a changed rule may stand where it stood. */
  change(removed: Iterable<CompiledRule>, added: Iterable<CompiledRule>): void {
    const came: CompiledRule[] = [];
    for (const rule of removed) this.#take(rule);
    for (const rule of added) {
      this.#rules.set(rule, rule);
      if (rule.ingress.usesPortNames) this.ownPortNameRuleCount += 1;
      if (rule.requirements !== undefined) this.#requiring.add(rule);
      came.push(rule);
    }
    const requirements = this.#requirements();
    const key = keyOfRequirements(requirements);
    if (key === this.#requirementsKey) for (const rule of came) this.#put(rule, requirements);
    else this.#startOver(requirements, key);
    this.#touched();
  }

  resolve(): ResolvedPolicy {
    this.#result ??= createResolvedPolicy(resolvedDirection(this.#ingress), resolvedDirection(this.#egress));
    return this.#result;
  }

  /** As `resolve`, in parts. */
  *prepare(): Generator<void> {
    yield* this.#ingress.prepare();
    yield* this.#egress.prepare();
    yield;
    this.resolve();
  }

  touchEverything(): void {
    this.#ingress.touchEverything();
    this.#egress.touchEverything();
  }

  touchPortNames(identity: number): void {
    this.#egress.touchPortNames(identity);
  }

  /** The last subject is gone. */
  close(): void {
    this.#ingress.close();
    this.#egress.close();
    for (const [rule, held] of this.#rules) if (held !== rule) held.release(this.#options.cache);
    this.#rules.clear();
  }

  #put(rule: CompiledRule, requirements: Requirements | undefined): void {
    const held =
      requirements === undefined ? rule : new CompiledRule(withRequirements(rule.rule, requirements), rule.order, this.#options.cache);
    this.#rules.set(rule, held);
    this.#ingress.add(held);
    this.#egress.add(held);
  }

  #take(rule: CompiledRule): void {
    const held = this.#rules.get(rule);
    if (held === undefined) return;
    this.#ingress.remove(held);
    this.#egress.remove(held);
    this.#rules.delete(rule);
    this.#requiring.delete(rule);
    if (rule.ingress.usesPortNames) this.ownPortNameRuleCount -= 1;
    if (held !== rule) held.release(this.#options.cache);
  }

  /** Other requirements make other rules of all. */
  #startOver(requirements: Requirements | undefined, key: string): void {
    this.#requirementsKey = key;
    this.#ingress.close();
    this.#egress.close();
    const context = this.#tableContext();
    this.#ingress = new DirectionTable("ingress", context);
    this.#egress = new DirectionTable("egress", context);
    for (const [rule, held] of [...this.#rules]) {
      this.#put(rule, requirements);
      if (held !== rule) held.release(this.#options.cache);
    }
  }

  #requirements(): Requirements | undefined {
    const all = [...this.#requiring].map(({ requirements }) => requirements).filter((some) => some !== undefined);
    if (all.length === 0) return undefined;
    return {
      ingress: all.flatMap(({ ingress }) => ingress),
      ingressDeny: all.flatMap(({ ingressDeny }) => ingressDeny),
      egress: all.flatMap(({ egress }) => egress),
      egressDeny: all.flatMap(({ egressDeny }) => egressDeny),
    };
  }

  #tableContext(): TableContext {
    const { cache, allowLocalhost, peerNamedPorts, mode } = this.#options;
    return {
      enforcement: () => (mode() === "never" ? "open" : this.init || mode() === "always" ? "enforced" : "default"),
      allowLocalhost,
      namedPorts: () => this.namedPorts,
      peerNamedPorts,
      selectorsOf: (identity) => cache.selectorsOf(identity),
      onTouched: () => this.#touched(),
    };
  }

  #touched(): void {
    this.#result = undefined;
    this.#options.onTouched(this);
  }
}

function resolvedDirection(table: DirectionTable): ResolvedDirection {
  return { enforced: table.enforced, settled: table.settled, blocks: table.blocks() };
}

function keyOfRequirements(requirements: Requirements | undefined): string {
  if (requirements === undefined) return "";
  const of = (selectors: Requirements["ingress"]): string[] => [...new Set(selectors.map(({ key }) => key))].sort();
  const { ingress, ingressDeny, egress, egressDeny } = requirements;
  return JSON.stringify([of(ingress), of(ingressDeny), of(egress), of(egressDeny)]);
}

function withRequirements(rule: Rule, requirements: Requirements): Rule {
  const of = (name: keyof Requirements): RuleSection[] => rule[name].map((section) => requireOfPeers(section, requirements[name]));
  return { ...rule, ingress: of("ingress"), ingressDeny: of("ingressDeny"), egress: of("egress"), egressDeny: of("egressDeny") };
}

function requireOfPeers(section: RuleSection, required: Requirements["ingress"]): RuleSection {
  if (required.length === 0 || section.peers === undefined) return section;
  const conditions = required.flatMap(({ requirements }) => requirements);
  const require = (peer: Peer): Peer =>
    peer.kind === "endpoints" ? { ...peer, selector: conditions.reduce((selector, one) => selector.with(one), peer.selector) } : peer;
  return { ...section, peers: section.peers.map(require) };
}
