import { type Family, formatPrefix, type Prefix } from "@cilium-ts/net";
import { malformed, unacceptable } from "./errors.ts";
import { decodeFamily, encodeFamily, sizeBytesOfFamily } from "./family.ts";
import { checkLinkName } from "./link.ts";
import { decodeAttributes, fixedPart } from "./message-reader.ts";
import type { MessageWriter } from "./message-writer.ts";
import { ruleAttribute } from "./wire.ts";

/** What a rule does with the packets it matches (FR_ACT_*): look the address up in a table, or end the search. */
export type RuleAction = "table" | "blackhole" | "unreachable" | "prohibit" | "other";

/** A rule of policy routing. What is undefined matches anything. */
export interface Rule {
  readonly family: Family;
  /** Rules are asked from the lowest. */
  readonly priority: number;
  readonly from: Prefix | undefined;
  readonly to: Prefix | undefined;
  /** Matches when the packet's mark, under the mask, equals it. */
  readonly mark: number | undefined;
  readonly mask: number | undefined;
  readonly inputLink: string | undefined;
  readonly outputLink: string | undefined;
  readonly action: RuleAction;
  /** 0 unless the action is a table. */
  readonly table: number;
  /** Who put it there (RTPROT_*). */
  readonly protocol: number;
}

export interface NewRule {
  readonly family: Family;
  readonly priority: number;
  readonly from?: Prefix | undefined;
  readonly to?: Prefix | undefined;
  readonly mark?: number | undefined;
  /** Default: every bit. */
  readonly mask?: number | undefined;
  readonly inputLink?: string | undefined;
  readonly outputLink?: string | undefined;
  /** Default: table. */
  readonly action?: Exclude<RuleAction, "other"> | undefined;
  readonly table?: number | undefined;
  /** Default: 4, static. */
  readonly protocol?: number | undefined;
}

/** fib_rule_hdr. */
const fixedSizeBytes = 12;
const actionNumbers = { table: 1, blackhole: 6, unreachable: 7, prohibit: 8 } as const;
const staticProtocol = 4;
const everyBit = 0xffff_ffff;

export function describeRule(rule: Pick<NewRule, "family" | "priority" | "from" | "to" | "table">): string {
  const from = rule.from === undefined ? "" : ` from ${formatPrefix(rule.from)}`;
  const to = rule.to === undefined ? "" : ` to ${formatPrefix(rule.to)}`;
  return `IPv${rule.family} rule ${rule.priority}${from}${to}${rule.table === undefined ? "" : ` table ${rule.table}`}`;
}

export function checkRule(operation: string, rule: NewRule): void {
  const size = rule.family === 4 ? 4 : 16;
  for (const prefix of [rule.from, rule.to]) {
    if (prefix !== undefined && prefix.address.length !== size)
      throw unacceptable(operation, describeRule(rule), "its prefix is of the other family");
  }
  if ((rule.action ?? "table") === "table" && (rule.table ?? 0) === 0)
    throw unacceptable(operation, describeRule(rule), "it names no table");
  for (const name of [rule.inputLink, rule.outputLink]) if (name !== undefined) checkLinkName(operation, name);
}

export function encodeRule(writer: MessageWriter, rule: NewRule): void {
  const table = rule.table ?? 0;
  encodeFixed(
    writer,
    encodeFamily(rule.family),
    rule.to?.length ?? 0,
    rule.from?.length ?? 0,
    table < 256 ? table : 0,
    actionNumbers[rule.action ?? "table"],
  );
  if (rule.to !== undefined && rule.to.length > 0) writer.attribute(ruleAttribute.destination, rule.to.address);
  if (rule.from !== undefined && rule.from.length > 0) writer.attribute(ruleAttribute.source, rule.from.address);
  writer.attributeU32(ruleAttribute.priority, rule.priority);
  if (rule.mark !== undefined) {
    writer.attributeU32(ruleAttribute.mark, rule.mark);
    writer.attributeU32(ruleAttribute.mask, rule.mask ?? everyBit);
  }
  if (table !== 0) writer.attributeU32(ruleAttribute.table, table);
  if (rule.inputLink !== undefined) writer.attributeText(ruleAttribute.inputInterface, rule.inputLink);
  if (rule.outputLink !== undefined) writer.attributeText(ruleAttribute.outputInterface, rule.outputLink);
  writer.attributeU8(ruleAttribute.protocol, rule.protocol ?? staticProtocol);
}

export function encodeRuleQuery(writer: MessageWriter, family: Family | undefined): void {
  encodeFixed(writer, encodeFamily(family), 0, 0, 0, 0);
}

function encodeFixed(writer: MessageWriter, family: number, toLength: number, fromLength: number, table: number, action: number): void {
  for (const value of [family, toLength, fromLength, 0, table, 0, 0, action]) writer.u8(value);
  writer.u32(0);
}

/** Undefined for families other than IPv4 and IPv6. */
export function decodeRule(payload: Uint8Array): Rule | undefined {
  const fixed = fixedPart(payload, fixedSizeBytes);
  const family = decodeFamily(fixed.getUint8(0));
  const sizeBytes = sizeBytesOfFamily(fixed.getUint8(0));
  if (family === undefined || sizeBytes === undefined) return undefined;
  const attributes = decodeAttributes(payload.subarray(fixedSizeBytes));
  const prefix = (type: number, length: number): Prefix | undefined => {
    if (length > sizeBytes * 8) throw malformed(`a prefix length of ${length}`);
    const address = attributes.address(type, sizeBytes);
    return address === undefined ? undefined : { address, length };
  };
  const action = ruleActionOf(fixed.getUint8(7));
  return {
    family,
    priority: attributes.u32(ruleAttribute.priority) ?? 0,
    from: prefix(ruleAttribute.source, fixed.getUint8(2)),
    to: prefix(ruleAttribute.destination, fixed.getUint8(1)),
    mark: attributes.u32(ruleAttribute.mark),
    mask: attributes.u32(ruleAttribute.mask),
    inputLink: attributes.text(ruleAttribute.inputInterface),
    outputLink: attributes.text(ruleAttribute.outputInterface),
    action,
    table: action === "table" ? (attributes.u32(ruleAttribute.table) ?? fixed.getUint8(4)) : 0,
    protocol: attributes.u8(ruleAttribute.protocol) ?? 0,
  };
}

function ruleActionOf(number: number): RuleAction {
  for (const [name, value] of Object.entries(actionNumbers) as [RuleAction, number][]) if (value === number) return name;
  return "other";
}
