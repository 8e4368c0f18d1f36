import {
  type Direction,
  type NamedPort,
  type PacketEnd,
  type PacketQuestion,
  type PolicyWorld,
  protocols,
  selects,
  type Verdict,
} from "@cilium-ts/policy";
import type { Observation, ObservedEnd, ObservedFlow } from "../flows/observed-flow.ts";
import { endText, isOutside, packetEndOf, patternsIn } from "../flows/packet-end.ts";
import { type Judgement, type Outcome, PolicyJudge } from "../flows/policy-judge.ts";

export interface WhatIfOptions {
  /** What is in force now. */
  readonly before: PolicyWorld;
  /** What would be. */
  readonly after: PolicyWorld;
  /** What a pod calls its ports; none is known where it is absent. */
  namedPortsOf?(end: ObservedEnd): readonly NamedPort[];
}

/** Flows between the same two kinds of ends, on one port, whose verdict would be another. */
export interface ChangedFlows {
  readonly from: string;
  readonly to: string;
  /** `TCP`; the number of one without a name here. */
  readonly protocol: string;
  /** Of the destination; the type of ICMP. */
  readonly port: number;
  readonly before: Outcome;
  readonly after: Outcome;
  /** How many flows, and when the first and the last were seen. */
  readonly count: number;
  readonly firstMs: number;
  readonly lastMs: number;
  /** What makes the difference: `egress: dropped, no rule of CiliumNetworkPolicy shop/web allows it`. */
  readonly because: string;
}

export interface WhatIfReport {
  /** All that were looked at. */
  readonly flows: number;
  readonly unchanged: number;
  /** Most frequent first. */
  readonly changed: readonly ChangedFlows[];
  /** Of those judged: recorded with another verdict than the policies of now have, for they have changed since, or only audit. */
  readonly recordedOtherwise: number;
  /** Why policies could not be asked about the rest. */
  readonly notJudged: ReadonlyArray<{ readonly reason: string; readonly count: number }>;
}

/** Distinct connections that are told apart; flows of any more are not judged. */
export const distinctFlowsMax = 100_000;
/** Distinct reasons why flows are not judged. */
const reasonsMax = 64;

interface Row {
  readonly question: PacketQuestion;
  readonly example: ObservedFlow;
  count: number;
  /** Of the flows, those that passed when they were recorded. */
  passed: number;
  firstMs: number;
  lastMs: number;
}

/** Replays recorded flows against two sets of policies. Memory is bounded by the number of distinct connections, not of flows. */
export class WhatIf {
  readonly #options: WhatIfOptions;
  readonly #patterns: readonly string[];
  readonly #rows = new Map<string, Row>();
  readonly #notJudged = new Map<string, number>();
  #flows = 0;

  constructor(options: WhatIfOptions) {
    this.#options = options;
    this.#patterns = patternsIn([...options.before.rules, ...options.after.rules]);
  }

  add(observation: Observation): void {
    this.#flows += 1;
    if (observation.kind === "unusable") {
      this.#skip(observation.reason);
      return;
    }
    const { flow } = observation;
    const passed = flow.verdict === "dropped" ? 0 : 1;
    const key = `${this.#endKey(flow.from)} ${this.#endKey(flow.to)} ${flow.protocol}/${flow.port}`;
    const row = this.#rows.get(key);
    if (row === undefined) {
      this.#addRow(key, flow, passed);
      return;
    }
    row.count += 1;
    row.passed += passed;
    row.firstMs = Math.min(row.firstMs, flow.timeMs);
    row.lastMs = Math.max(row.lastMs, flow.timeMs);
  }

  /** Judges all that was added. */
  report(): WhatIfReport {
    const { before: now, after: then } = this.#options;
    const [before, after] = [new PolicyJudge(now), new PolicyJudge(then)];
    const changed: ChangedFlows[] = [];
    let unchanged = 0;
    let recordedOtherwise = 0;
    for (const row of this.#rows.values()) {
      const [was, becomes] = [before.judge(row.question), after.judge(row.question)];
      recordedOtherwise += was.verdict === "allowed" || was.verdict === "audited" ? row.count - row.passed : row.passed;
      if (was.verdict === becomes.verdict) unchanged += row.count;
      else changed.push(changeOf(row, was, becomes, then));
    }
    changed.sort((a, b) => b.count - a.count || compare(sortKey(a), sortKey(b)));
    const notJudged = [...this.#notJudged].map(([reason, count]) => ({ reason, count })).sort((a, b) => b.count - a.count);
    return { flows: this.#flows, unchanged, changed, recordedOtherwise, notJudged };
  }

  #addRow(key: string, flow: ObservedFlow, passed: number): void {
    const question = this.#questionOf(flow);
    if (typeof question === "string") this.#skip(question);
    else if (this.#rows.size >= distinctFlowsMax) this.#skip(`more than ${distinctFlowsMax} distinct connections: look at fewer at a time`);
    else this.#rows.set(key, { question, example: flow, count: 1, passed, firstMs: flow.timeMs, lastMs: flow.timeMs });
  }

  /** Equal for ends that are called the same and that policies cannot tell apart. */
  #endKey(end: ObservedEnd): string {
    const ports = end.podName === "" ? [] : (this.#options.namedPortsOf?.(end) ?? []);
    const named = ports.length === 0 ? "" : JSON.stringify(ports);
    return `${endText(end)} ${end.labels.join()} ${isOutside(end.labels) ? `${end.address} ${end.names.join()}` : named}`;
  }

  #questionOf(flow: ObservedFlow): PacketQuestion | string {
    const { before, namedPortsOf } = this.#options;
    const endOf = (end: ObservedEnd): PacketEnd | undefined =>
      packetEndOf(end, { families: before.families, patterns: this.#patterns, namedPorts: namedPortsOf?.(end) ?? [] });
    const from = endOf(flow.from);
    if (from === undefined) return "it is not known who the sender was";
    const to = endOf(flow.to);
    if (to === undefined) return "it is not known who the receiver was";
    return { from, to, protocol: flow.protocol, port: flow.port };
  }

  #skip(reason: string): void {
    const told = this.#notJudged.has(reason) || this.#notJudged.size < reasonsMax ? reason : "other reasons";
    this.#notJudged.set(told, (this.#notJudged.get(told) ?? 0) + 1);
  }
}

function changeOf({ question, example, count, firstMs, lastMs }: Row, was: Judgement, becomes: Judgement, then: PolicyWorld): ChangedFlows {
  return {
    from: endText(example.from),
    to: endText(example.to),
    protocol: protocolText(question.protocol),
    port: question.port,
    before: was.verdict,
    after: becomes.verdict,
    count,
    firstMs,
    lastMs,
    because: (["egress", "ingress"] as const)
      .filter(
        (direction) => was[direction]?.verdict !== becomes[direction]?.verdict || was[direction]?.audited !== becomes[direction]?.audited,
      )
      .map((direction) => `${direction}: ${reasonOf(direction, question, becomes[direction], then)}`)
      .join("; "),
  };
}

const policiesShownMax = 5;

function reasonOf(direction: Direction, { from, to }: PacketQuestion, verdict: Verdict | undefined, { rules }: PolicyWorld): string {
  if (verdict === undefined) return "no policy is about it";
  const audited = verdict.audited ? "only audited: " : "";
  if (verdict.verdict === "dropped") {
    const self = direction === "ingress" ? to : from;
    const closing = rules.filter((rule) => rule.enableDefaultDeny[direction] && selects(rule, self.labels));
    return `${audited}dropped, no rule of ${listed(closing.map(({ policy }) => policyName(policy)))} allows it`;
  }
  const places = verdict.origins.map(({ policy, path }) => (path === "" ? policy.name : `${path} of ${policyName(policy)}`));
  return `${audited}${verdict.verdict} by ${listed(places)}`;
}

function listed(texts: readonly string[]): string {
  const distinct = [...new Set(texts)];
  if (distinct.length === 0) return "any policy";
  const more = distinct.length - policiesShownMax;
  return `${distinct.slice(0, policiesShownMax).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

function policyName({ kind, namespace, name }: { readonly kind: string; readonly namespace: string; readonly name: string }): string {
  return `${kind} ${namespace === "" ? name : `${namespace}/${name}`}`;
}

const protocolNames = new Map<number, string>([
  [protocols.tcp, "TCP"],
  [protocols.udp, "UDP"],
  [protocols.sctp, "SCTP"],
  [protocols.icmp, "ICMPv4"],
  [protocols.icmpv6, "ICMPv6"],
]);

function protocolText(protocol: number): string {
  return protocolNames.get(protocol) ?? String(protocol);
}

function sortKey({ from, to, protocol, port }: ChangedFlows): string {
  return `${from} ${to} ${protocol} ${String(port).padStart(5, "0")}`;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
