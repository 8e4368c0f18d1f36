import { reservedIdentities } from "@cilium-ts/identity";
import { type CompiledRule, compareRules, compareStatements, matchesNamedPort, type Statement } from "../rules/compiled-rule.ts";
import { type OriginList, OriginLists, type OriginSet } from "../rules/origin-lists.ts";
import { reservedOrigins } from "../rules/origins.ts";
import { anyPortKey, type PortKey, portKeyOf, widerPortKey } from "../rules/port-prefix.ts";
import type { Direction, NamedPort, RuleOrigin } from "../rules/rule.ts";
import type { CachedSelector, SelectorWatcher } from "../selectors/selector-cache.ts";
import { Block, BlockList } from "./entry-blocks.ts";
import { Redirects } from "./redirects.ts";
import { type AnybodyOutcomes, type Ground, type StatementCells, settleAnybody, settleIdentity } from "./settle.ts";

/** What a table looks at beside its rules. */
export interface TableContext {
  /** `default`: as the rules say. `enforced`: what no rule allows is dropped. `open`: everything is allowed. */
  enforcement(): "default" | "enforced" | "open";
  readonly allowLocalhost: boolean;
  /** Of the endpoint itself: names in ingress rules. */
  namedPorts(): readonly NamedPort[];
  /** Of peers, by identity: names in egress rules. */
  readonly peerNamedPorts: ReadonlyMap<number, readonly NamedPort[]>;
  selectorsOf(identity: number): ReadonlySet<CachedSelector>;
  /** Something changed; entries have to be asked for again. */
  onTouched(): void;
}

const anyIdentity = 0;
/** Of a result that is prepared: the entries of so many identities are a fraction of a millisecond's work. */
const identitiesAtOnce = 256;
/** As many statements as are noted in about as much time. */
const statementsAtOnce = 1_024;
/** Origin lists that nobody uses any more are cleared away when there are this many more lists than were in use. */
const unusedListsMax = 1024;

/**
 * What rules say to one direction of an endpoint, and the entries that say the same to a kernel that looks no further than the longest
 * match. Entries are kept for each identity apart: a rule or an identity that comes, goes or changes has the entries of those
 * identities computed again that it touches, and no others.
 */
export class DirectionTable implements SelectorWatcher {
  readonly #direction: Direction;
  readonly #context: TableContext;
  readonly #rules = new Set<CompiledRule>();
  /** In order. */
  readonly #bySelector = new Map<CachedSelector, Statement[]>();
  /** About anybody; in order. */
  readonly #aboutAnybody: Statement[] = [];
  #blocks = new BlockList();
  readonly #origins = new OriginLists();
  /** Lists in use when they were last counted. */
  #originsKept = 0;
  readonly #redirects = new Redirects();
  /** All are being computed, in parts. */
  #underway: Generator<void> | undefined;
  #touched: Set<number> | "all" = "all";
  #selecting = 0;
  #closing = 0;
  /** Of those that close, the ones that are not only audited. */
  #closingInEarnest = 0;
  /** Statements have to be settled for each block of ports, not just denials left out. */
  #settling = 0;
  readonly #auditedDefaultDenies = new Set<CompiledRule>();
  #auditing = 0;
  #naming = 0;
  /** Of rules about anybody with port names, in egress: they are about everybody who has that name. */
  #namesOfAnybody = 0;
  #closedBefore: Ground["closed"] | undefined;
  #settledBefore = false;
  /** What no peer may, whoever it is. */
  #deniedToAnybody: ReadonlySet<PortKey> | undefined;
  /** Of a direction that is settled: what is said about anybody, and what that comes to. */
  #anybody: { readonly about: StatementCells; readonly outcomes: AnybodyOutcomes } = { about: new Map(), outcomes: new Map() };

  constructor(direction: Direction, context: TableContext) {
    this.#direction = direction;
    this.#context = context;
  }

  /** A table of the same rules with the entries that are computed already: what both have in common is not computed twice. */
  copy(context: TableContext): DirectionTable {
    this.#finish();
    const copy = new DirectionTable(this.#direction, context);
    for (const rule of this.#rules) copy.#rules.add(rule);
    for (const [selector, statements] of this.#bySelector) {
      copy.#bySelector.set(selector, statements.slice());
      selector.watchers.add(copy);
    }
    copy.#aboutAnybody.push(...this.#aboutAnybody);
    copy.#blocks = this.#blocks.copy();
    // Where statements are settled, entries are compared by lists of origins, and each table has lists of its own.
    copy.#touched = this.#touched === "all" || this.#settledBefore ? "all" : new Set(this.#touched);
    copy.#originsKept = this.#originsKept;
    copy.#selecting = this.#selecting;
    copy.#closing = this.#closing;
    copy.#closingInEarnest = this.#closingInEarnest;
    copy.#settling = this.#settling;
    for (const rule of this.#auditedDefaultDenies) copy.#auditedDefaultDenies.add(rule);
    copy.#auditing = this.#auditing;
    copy.#naming = this.#naming;
    copy.#namesOfAnybody = this.#namesOfAnybody;
    copy.#closedBefore = this.#closedBefore;
    copy.#settledBefore = this.#settledBefore;
    copy.#deniedToAnybody = this.#deniedToAnybody;
    return copy;
  }

  /** Something selects the endpoint in this direction, or the mode says so. */
  get enforced(): boolean {
    const enforcement = this.#context.enforcement();
    return enforcement === "enforced" || (enforcement === "default" && this.#selecting > 0);
  }

  /** Some rule says more than allow or deny. */
  get settled(): boolean {
    return this.#settling > 0 && this.#context.enforcement() !== "open";
  }

  /** Whether what no rule allows is dropped. */
  get #closed(): Ground["closed"] {
    const enforcement = this.#context.enforcement();
    if (enforcement !== "default") return enforcement === "open" ? "no" : "enforced";
    return this.#closingInEarnest > 0 ? "enforced" : this.#closing > 0 ? "audited" : "no";
  }

  add(rule: CompiledRule): void {
    this.#rules.add(rule);
    this.#count(rule, 1);
    for (const statement of rule[this.#direction].statements) {
      if (statement.anyPeer) {
        place(this.#aboutAnybody, statement);
        this.#touchAnybody(statement);
        continue;
      }
      for (const selector of statement.selectors) {
        const statements = this.#bySelector.get(selector);
        if (statements === undefined) {
          this.#bySelector.set(selector, [statement]);
          selector.watchers.add(this);
        } else place(statements, statement);
        this.#touchAll(selector.identities);
      }
    }
  }

  remove(rule: CompiledRule): void {
    this.#rules.delete(rule);
    this.#count(rule, -1);
    for (const statement of rule[this.#direction].statements) {
      if (statement.anyPeer) {
        displace(this.#aboutAnybody, statement);
        this.#touchAnybody(statement);
        continue;
      }
      for (const selector of statement.selectors) {
        const statements = this.#bySelector.get(selector);
        if (statements === undefined) continue;
        displace(statements, statement);
        if (statements.length === 0) this.#drop(selector);
        this.#touchAll(selector.identities);
      }
    }
  }

  /** Nobody needs it any more. */
  close(): void {
    for (const selector of [...this.#bySelector.keys()]) this.#drop(selector);
  }

  touch(identity: number): void {
    if (this.#touched !== "all") this.#touched.add(identity);
    this.#context.onTouched();
  }

  /** Another mode, or other port names of its own. */
  touchEverything(): void {
    this.#touched = "all";
    this.#context.onTouched();
  }

  /** The ports of a peer are called differently. */
  touchPortNames(identity: number): void {
    if (this.#direction === "egress" && this.#naming > 0) this.touch(identity);
  }

  /** Entries of one identity after the other, ascending. */
  blocks(): readonly Block[] {
    this.#finish();
    this.#refresh();
    return this.#blocks.all();
  }

  /** Does what `blocks` would do the first time in parts; whatever changes in between is done in the end. */
  *prepare(): Generator<void> {
    this.#touchWhatCloses();
    if (this.#touched !== "all") return;
    this.#underway = this.#computing();
    while (this.#underway?.next().done === false) yield;
    this.#underway = undefined;
  }

  #finish(): void {
    while (this.#underway?.next().done === false);
    this.#underway = undefined;
  }

  #refresh(): void {
    this.#touchWhatCloses();
    const touched = this.#touched;
    this.#touched = new Set();
    if (touched === "all" || this.#context.enforcement() === "open") {
      this.#computeAll();
      return;
    }
    if (touched.size === 0) return;
    if (touched.has(anyIdentity) && (this.settled || this.#refreshAnybody())) {
      this.#computeAll();
      return;
    }
    touched.delete(anyIdentity);
    const changes = new Map<number, Block | undefined>();
    const compute = this.#computer();
    for (const identity of touched) changes.set(identity, compute(identity, this.#statementsAbout(identity)));
    this.#blocks.change(changes);
    this.#clearOrigins();
  }

  /** Whether everything else is open is said by entries for anybody and for the node. */
  #touchWhatCloses(): void {
    const closed = this.#closed;
    const { settled } = this;
    if (settled !== this.#settledBefore || (settled && closed !== this.#closedBefore)) this.#touched = "all";
    this.#settledBefore = settled;
    if (closed === this.#closedBefore) return;
    this.#closedBefore = closed;
    if (this.#touched === "all") return;
    this.#touched.add(anyIdentity);
    this.#touched.add(reservedIdentities.host);
  }

  /** True when another set of ports is denied to anybody: that concerns the entries of everybody. */
  #refreshAnybody(): boolean {
    const before = keysText(this.#deniedToAnybody);
    this.#blocks.change(new Map([[anyIdentity, this.#compute(anyIdentity, this.#aboutAnybody)]]));
    return before !== keysText(this.#deniedToAnybody);
  }

  #computeAll(): void {
    for (const _ of this.#computing());
  }

  *#computing(): Generator<void> {
    this.#touched = new Set();
    this.#origins.keepOnly([]);
    const blocks: Block[] = [];
    const take = (block: Block | undefined): void => void (block === undefined || blocks.push(block));
    take(this.settled ? this.#settleAnybody() : this.#compute(anyIdentity, this.#aboutAnybody));
    if (this.#context.enforcement() !== "open") {
      const compute = this.#computer();
      let count = 0;
      const statementsByIdentity = yield* this.#statementsByIdentity();
      for (const [identity, statements] of statementsByIdentity) {
        take(compute(identity, statements));
        count += 1;
        if (count % identitiesAtOnce === 0) yield;
      }
    }
    this.#blocks.replaceAll(blocks);
    this.#originsKept = this.#origins.size;
  }

  #computer(): (identity: number, statements: readonly Statement[]) => Block | undefined {
    if (!this.settled) return (identity, statements) => this.#compute(identity, statements);
    const ground = this.#ground();
    const { about, outcomes } = this.#anybody;
    return (identity, statements) => {
      const always = this.#alwaysAllowed(identity);
      return settleIdentity(identity, this.#cellsOf(identity, statements), about, outcomes, always, ground);
    };
  }

  #settleAnybody(): Block {
    const about = this.#cellsOf(anyIdentity, this.#aboutAnybody);
    const { block, outcomes } = settleAnybody(about, this.#ground());
    this.#anybody = { about, outcomes };
    this.#deniedToAnybody = undefined;
    return block;
  }

  #ground(): Ground {
    const open = this.#direction === "ingress" ? reservedOrigins.allowAnyIngress : reservedOrigins.allowAnyEgress;
    const auditedDefaultDenies = [...this.#auditedDefaultDenies]
      .sort(compareRules)
      .map((rule) => rule[this.#direction].auditedDefaultDeny)
      .filter((origin) => origin !== undefined);
    return {
      direction: this.#direction,
      closed: this.#closed,
      open: open[0],
      auditedDefaultDenies,
      lists: this.#origins,
      audits: this.#auditing > 0,
      redirect: (allowing, lenient) => this.#redirects.of(allowing, lenient),
    };
  }

  #cellsOf(identity: number, statements: readonly Statement[]): StatementCells {
    const cells = new Map<PortKey, Statement[]>();
    for (const statement of statements) {
      for (const key of new Set(this.#keysAbout(statement, identity))) {
        const cell = cells.get(key);
        if (cell === undefined) cells.set(key, [statement]);
        else cell.push(statement);
      }
    }
    return cells;
  }

  /** In the order of the rules, so that each list is in order. In parts, too. */
  *#statementsByIdentity(): Generator<void, Map<number, Statement[]>> {
    const found = new Map<number, Statement[]>();
    const note = (identity: number, statement: Statement): void => {
      const statements = found.get(identity);
      if (statements === undefined) found.set(identity, [statement]);
      else if (statements[statements.length - 1] !== statement) statements.push(statement);
    };
    const ordered = [...this.#rules].flatMap((rule) => rule[this.#direction].statements).sort(compareStatements);
    yield;
    for (const [index, statement] of ordered.entries()) {
      if (index % statementsAtOnce === statementsAtOnce - 1) yield;
      if (!statement.anyPeer)
        for (const { identities } of statement.selectors) for (const identity of identities) note(identity, statement);
      else if (this.#isAboutNames(statement)) for (const identity of this.#context.peerNamedPorts.keys()) note(identity, statement);
    }
    if (!found.has(reservedIdentities.host)) found.set(reservedIdentities.host, []);
    return found;
  }

  /** As `#statementsByIdentity`, of one. */
  #statementsAbout(identity: number): Statement[] {
    const selectors = this.#context.selectorsOf(identity);
    const found: Statement[] = [];
    let lists = 0;
    const take = (statements: readonly Statement[] | undefined): void => {
      if (statements === undefined) return;
      lists += 1;
      for (const statement of statements) found.push(statement);
    };
    if (selectors.size <= this.#bySelector.size) for (const selector of selectors) take(this.#bySelector.get(selector));
    else for (const [selector, statements] of this.#bySelector) if (selectors.has(selector)) take(statements);
    if (this.#namesOfAnybody > 0 && this.#context.peerNamedPorts.has(identity)) {
      take(this.#aboutAnybody.filter((statement) => this.#isAboutNames(statement)));
    }
    if (lists <= 1) return found;
    found.sort(compareStatements);
    return found.filter((statement, index) => statement !== found[index - 1]);
  }

  #isAboutNames({ named }: Statement): boolean {
    return this.#direction === "egress" && named.length > 0;
  }

  /** Whatever a deny covers is left out, so that the longest match is a deny wherever any deny matches. Undefined: no entries. */
  #compute(identity: number, statements: readonly Statement[]): Block | undefined {
    const simple = this.#computeSimple(identity, statements);
    if (simple !== undefined) return simple;
    const allow: Cells = new Map();
    const deny: Cells = new Map();
    if (this.#context.enforcement() !== "open") {
      for (const statement of statements) {
        const cells = statement.deny ? deny : allow;
        for (const key of this.#keysAbout(statement, identity)) cells.set(key, this.#origins.with(cells.get(key), statement.origin));
      }
    }
    const always = this.#alwaysAllowed(identity);
    if (always !== undefined) allow.set(anyPortKey, this.#origins.with(allow.get(anyPortKey), always));
    return this.#prune(identity, allow, deny);
  }

  /** Statements that are all about every port, or about one and the same block, are by far the most frequent. Undefined: they are not. */
  #computeSimple(identity: number, statements: readonly Statement[]): Block | undefined {
    const key = statements[0]?.keys[0];
    if (key === undefined || identity <= reservedIdentities.host || this.#deniedToAnybody !== undefined) return undefined;
    let allowed: OriginSet | undefined;
    let denied: OriginSet | undefined;
    for (const { keys, named, anyPeer, deny, origin } of statements) {
      if (keys.length !== 1 || keys[0] !== key || named.length > 0 || anyPeer) return undefined;
      if (deny) denied = this.#origins.with(denied, origin);
      else allowed = this.#origins.with(allowed, origin);
    }
    const origins = denied ?? allowed;
    if (origins === undefined) return undefined;
    const block = new Block(identity);
    block.add(this.#direction, key, denied !== undefined, origins, this.#origins);
    return block;
  }

  /** The blocks for which the statement says something in the entries of the identity; one perhaps twice. */
  #keysAbout({ anyPeer, keys, named }: Statement, identity: number): readonly PortKey[] {
    const isHere = anyPeer === (identity === anyIdentity);
    const blocks = isHere ? keys : [];
    // The name is the receiver's: in egress each peer's identity gets the ports that its own endpoints call so.
    if (named.length === 0 || (this.#direction === "ingress" && !isHere)) return blocks;
    const ports = this.#direction === "egress" ? (this.#context.peerNamedPorts.get(identity) ?? []) : this.#context.namedPorts();
    const meant = ports.filter((port) => named.some((match) => matchesNamedPort(match, port)));
    return [...blocks, ...meant.map((port) => portKeyOf(port.protocol, port.port, 16))];
  }

  /** What passes without any rule. */
  #alwaysAllowed(identity: number): RuleOrigin | undefined {
    const ingress = this.#direction === "ingress";
    if (this.#closed === "no") {
      if (identity !== anyIdentity) return undefined;
      return (ingress ? reservedOrigins.allowAnyIngress : reservedOrigins.allowAnyEgress)[0];
    }
    const host = identity === reservedIdentities.host && ingress && this.#context.allowLocalhost;
    return host ? reservedOrigins.allowLocalhostIngress[0] : undefined;
  }

  #prune(identity: number, allow: Cells, deny: Cells): Block | undefined {
    const anyDeny = identity === anyIdentity ? undefined : this.#deniedToAnybody;
    const keys = [...allow.keys(), ...deny.keys()];
    if (keys.length > 1) keys.sort((a, b) => a - b);
    const block = new Block(identity);
    let previous = -1;
    for (const key of keys) {
      if (key === previous) continue; // Both allowed and denied: the deny was written already.
      previous = key;
      const denied = deny.get(key);
      if (denied === undefined ? covers(deny, key) : coversNarrower(deny, key)) continue;
      if (anyDeny !== undefined && covers(anyDeny, key)) continue;
      const origins = denied ?? allow.get(key);
      if (origins !== undefined) block.add(this.#direction, key, denied !== undefined, origins, this.#origins);
    }
    if (identity === anyIdentity) this.#deniedToAnybody = deny.size === 0 ? undefined : new Set(deny.keys());
    return block.entries.length === 0 ? undefined : block;
  }

  /** Bounds the lists by those in use: rules that went away have left some behind. */
  #clearOrigins(): void {
    if (this.#origins.size <= 2 * this.#originsKept + unusedListsMax) return;
    const used = new Set<OriginList>();
    for (const { entries } of this.#blocks.all()) for (const { origins } of entries) used.add(origins);
    this.#origins.keepOnly(used);
    this.#originsKept = this.#origins.size;
  }

  #count(rule: CompiledRule, difference: number): void {
    const { selects, defaultDeny, auditedDefaultDeny, needsSettling, usesPortNames, statements } = rule[this.#direction];
    if (usesPortNames) this.#naming += difference;
    if (selects) this.#selecting += difference;
    if (defaultDeny) this.#closing += difference;
    if (defaultDeny && auditedDefaultDeny === undefined) this.#closingInEarnest += difference;
    if (needsSettling) this.#settling += difference;
    if (rule.audit) this.#auditing += difference;
    if (auditedDefaultDeny !== undefined) {
      if (difference > 0) this.#auditedDefaultDenies.add(rule);
      else this.#auditedDefaultDenies.delete(rule);
      this.#touched = "all";
    }
    for (const statement of statements) if (statement.anyPeer && this.#isAboutNames(statement)) this.#namesOfAnybody += difference;
    this.#context.onTouched();
  }

  #touchAnybody(statement: Statement): void {
    this.touch(anyIdentity);
    if (this.#isAboutNames(statement)) this.#touchAll(this.#context.peerNamedPorts.keys());
  }

  #touchAll(identities: Iterable<number>): void {
    if (this.#touched !== "all") for (const identity of identities) this.#touched.add(identity);
    this.#context.onTouched();
  }

  #drop(selector: CachedSelector): void {
    this.#bySelector.delete(selector);
    selector.watchers.delete(this);
  }
}

type Cells = Map<PortKey, OriginSet>;
type Keys = Pick<ReadonlySet<PortKey>, "has">;

/** True when the key or a wider one is there. */
function covers(cells: Keys, key: PortKey): boolean {
  return cells.has(key) || coversNarrower(cells, key);
}

/** True when a wider key is there. */
function coversNarrower(cells: Keys, key: PortKey): boolean {
  for (let wider = widerPortKey(key); wider !== undefined; wider = widerPortKey(wider)) if (cells.has(wider)) return true;
  return false;
}

function keysText(keys: ReadonlySet<PortKey> | undefined): string {
  return [...(keys ?? [])].sort((a, b) => a - b).join(" ");
}

function place(statements: Statement[], statement: Statement): void {
  const last = statements[statements.length - 1];
  if (last === undefined || compareStatements(last, statement) < 0) statements.push(statement);
  else statements.splice(statementPosition(statements, statement), 0, statement);
}

function displace(statements: Statement[], statement: Statement): void {
  const index = statementPosition(statements, statement);
  if (statements[index] === statement) statements.splice(index, 1);
}

/** Index of the first that does not come before. */
function statementPosition(statements: readonly Statement[], statement: Statement): number {
  let low = 0;
  let high = statements.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const candidate = statements[middle];
    if (candidate !== undefined && compareStatements(candidate, statement) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
