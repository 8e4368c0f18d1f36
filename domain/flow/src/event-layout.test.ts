import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  dropOffset,
  EventType,
  headerOffset,
  NotifyFlag,
  packetOffsetOf,
  traceOffset,
  traceReasonEncrypted,
  traceReasonReply,
  traceReasonUnknown,
  VerdictFlag,
  verdictOffset,
} from "./event-layout.ts";
import { sourceFileName } from "./names.ts";

const bpf = join(import.meta.dirname, "../../../bpf");
const header = readFileSync(join(bpf, "include/events.h"), "utf8").replaceAll(/\/\*[\s\S]*?\*\//g, "");
const scalarBytes: Readonly<Record<string, number>> = { __u8: 1, __s8: 1, __u16: 2, __be16: 2, __u32: 4, __s32: 4, __u64: 8 };

interface Layout {
  readonly offsets: ReadonlyMap<string, number>;
  readonly size: number;
  readonly alignment: number;
}

/** Offsets of a struct's fields by the C rules of natural alignment. */
function layoutOf(name: string): Layout {
  const body = new RegExp(`struct ${name} \\{([^}]*)\\}`).exec(header)?.[1];
  assert.ok(body !== undefined, `bpf/include/events.h has no struct ${name}`);
  const offsets = new Map<string, number>();
  let size = 0;
  let alignment = 1;
  for (const [, nested, type = "", field = "", count = "1"] of body.matchAll(/(?:struct (\w+)|(\w+)) (\w+)(?:\[(\d+)\])?;/g)) {
    const inner = nested === undefined ? undefined : layoutOf(nested);
    const bytes = inner?.size ?? scalarBytes[type];
    assert.ok(bytes !== undefined, `${name}.${field} has an unknown type`);
    const fieldAlignment = inner?.alignment ?? bytes;
    size = Math.ceil(size / fieldAlignment) * fieldAlignment;
    offsets.set(field, size);
    size += bytes * Number(count);
    alignment = Math.max(alignment, fieldAlignment);
  }
  return { offsets, size: Math.ceil(size / alignment) * alignment, alignment };
}

function constant(name: string): number {
  const value = new RegExp(`\\b${name} = (0x[0-9a-f]+|\\d+)`).exec(header)?.[1];
  assert.ok(value !== undefined, `bpf/include/events.h has no ${name}`);
  return Number(value);
}

const inC = (name: string): string =>
  ({ originalIP: "original_ip", subType: "subtype", reporter: "source" })[name] ??
  name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

for (const [struct, offsets, type, version] of [
  ["event_header", headerOffset, undefined, 0],
  ["drop_notify", dropOffset, EventType.drop, 3],
  ["trace_notify", traceOffset, EventType.trace, 2],
  ["policy_verdict_notify", verdictOffset, EventType.policyVerdict, 1],
] as const) {
  test(`${struct} is read where the datapath writes it`, () => {
    const layout = layoutOf(struct);
    for (const [name, offset] of Object.entries(offsets)) assert.equal(offset, layout.offsets.get(inC(name)), `${struct}.${inC(name)}`);
    if (type !== undefined) assert.equal(packetOffsetOf(type, version), layout.size);
  });
}

test("flags and types have the datapath's numbers", () => {
  for (const [value, name] of [
    [EventType.drop, "EVENT_DROP"],
    [EventType.debug, "EVENT_DEBUG"],
    [EventType.capture, "EVENT_CAPTURE"],
    [EventType.trace, "EVENT_TRACE"],
    [EventType.policyVerdict, "EVENT_POLICY_VERDICT"],
    [EventType.traceSock, "EVENT_TRACE_SOCK"],
    [NotifyFlag.ipv6, "NOTIFY_IPV6"],
    [NotifyFlag.l3Device, "NOTIFY_L3_DEVICE"],
    [NotifyFlag.vxlan, "NOTIFY_VXLAN"],
    [NotifyFlag.geneve, "NOTIFY_GENEVE"],
    [VerdictFlag.ingress, "VERDICT_INGRESS"],
    [VerdictFlag.egress, "VERDICT_EGRESS"],
    [VerdictFlag.matchShift, "VERDICT_MATCH_SHIFT"],
    [VerdictFlag.audited, "VERDICT_AUDITED"],
    [VerdictFlag.l3Device, "VERDICT_L3_DEVICE"],
    [traceReasonReply, "TRACE_REASON_REPLY"],
    [traceReasonUnknown, "TRACE_REASON_UNKNOWN"],
    [traceReasonEncrypted, "TRACE_REASON_ENCRYPTED"],
  ] as const) {
    assert.equal(value, constant(name), name);
  }
});

test("every number of a source file has the name of a file that exists", () => {
  const numbers = [...readFileSync(join(bpf, "include/files.h"), "utf8").matchAll(/FILE_(\w+) = (\d+)/g)];
  assert.ok(numbers.length > 5);
  for (const [, name = "", number = ""] of numbers) {
    const file = sourceFileName(Number(number));
    if (name === "NONE") assert.equal(file, undefined);
    else {
      assert.equal(file?.replace(/\.[ch]$/, ""), name.toLowerCase());
      assert.ok(existsSync(join(bpf, "lib", file ?? "")) || existsSync(join(bpf, "programs", file ?? "")), `bpf has no ${file}`);
    }
  }
});
