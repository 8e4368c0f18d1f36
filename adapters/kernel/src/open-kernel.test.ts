import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { requireKernel } from "@cilium-ts/testing";
import { compileSample } from "../testdata/compile.ts";
import { KernelError, VerifierRejection } from "./errors.ts";
import type { BpfProgram, Kernel, LoadedObject } from "./kernel.ts";
import { openKernel } from "./open-kernel.ts";

/** Offsets in struct __sk_buff of linux/bpf.h. */
const skbSizeBytes = 192;
const markOffset = 8;
const ifindexOffset = 40;

const never = new AbortController().signal;

describe("the real kernel", { skip: requireKernel() }, () => {
  let kernel: Kernel;
  let directory: string;
  let sampleBytes: Uint8Array;
  before(() => {
    kernel = openKernel();
    directory = mkdtempSync(join(tmpdir(), "open-kernel-"));
    sampleBytes = compileSample("sample", directory);
  });
  after(() => rmSync(directory, { recursive: true }));

  const loadSample = (verdict: number, emitted: number): LoadedObject =>
    kernel.loadObject({
      name: "sample.o",
      bytes: sampleBytes,
      rodata: { settings: new Uint8Array(Uint32Array.of(verdict, emitted, 0, 0).buffer) },
    });

  test("a test run sees the constants that were set, and their neighbours as they were", () => {
    using sample = loadSample(4711, 0);
    const packet = Uint8Array.from({ length: 80 }, (_, index) => index);
    const context = new Uint8Array(skbSizeBytes);
    const run = programOf(sample, "verdict").testRun({ packet, context, repeat: 10 });
    assert.equal(run.returnValue, 4711);
    assert.deepEqual(run.packet, packet);
    assert.ok(run.durationNs > 0);
    assert.equal(run.context.length, skbSizeBytes);
    const written = sample.maps.get("flows")?.dump();
    assert.equal(written?.count, 1);
    assert.equal(new DataView(written.values.buffer, written.values.byteOffset).getBigUint64(0, true), 0x3333333333333333n);
  });

  test("a test run happens on the device of its context", () => {
    using sample = loadSample(0, 0);
    const context = new Uint8Array(skbSizeBytes);
    const view = new DataView(context.buffer);
    view.setUint32(ifindexOffset, 1, true);
    const run = programOf(sample, "verdict").testRun({ packet: new Uint8Array(64), context });
    assert.equal(new DataView(run.context.buffer).getUint32(markOffset, true), 1, "the program puts the ifindex into the mark");
    view.setUint32(ifindexOffset, 999_999, true);
    assert.throws(
      () => programOf(sample, "verdict").testRun({ packet: new Uint8Array(64), context }),
      (error) => error instanceof KernelError && error.code === "ENODEV" && error.message.includes("program verdict: test run"),
    );
  });

  test("a packet too short for Ethernet is refused, not padded", () => {
    using sample = loadSample(0, 0);
    assert.throws(
      () => programOf(sample, "verdict").testRun({ packet: new Uint8Array(4) }),
      (error) => error instanceof KernelError && error.code === "EINVAL",
    );
  });

  test("the verifier's refusal names the program, the reason and the line", () => {
    const bytes = compileSample("rejected", directory);
    assert.throws(
      () => kernel.loadObject({ name: "rejected.o", bytes }),
      (error) => {
        assert.ok(error instanceof VerifierRejection);
        assert.equal(error.program, "unchecked");
        assert.match(error.line, /R0 invalid mem access 'map_value_or_null' at `return \*value \+ 1;.*` \(rejected\.c:\d+\)/);
        assert.match(error.log, /^0: /m);
        assert.equal(error.code, "EACCES");
        return true;
      },
    );
  });

  test("bytes that are no object are refused with the object's name", () => {
    for (const bytes of [new Uint8Array(0), new Uint8Array(100), sampleBytes.subarray(0, 500)]) {
      assert.throws(
        () => kernel.loadObject({ name: "broken.o", bytes }),
        (error) => error instanceof KernelError && error.message.startsWith("object broken.o: read"),
        `${bytes.length} bytes`,
      );
    }
  });

  test("what the program could not write is all that is missing", () => {
    using sample = loadSample(0, 3000);
    const events = sample.maps.get("events");
    assert.ok(events);
    using ring = kernel.openRingBuffer(events);
    programOf(sample, "emit").testRun({ packet: new Uint8Array(64), context: new Uint8Array(skbSizeBytes) });
    const drained = ring.drain(new Uint8Array(256 * 1024));
    const [, written, lost] = countersOf(sample);
    assert.equal(drained.records, written);
    assert.ok(lost !== undefined && lost > 0, "the ring should have overflowed");
    assert.equal((written ?? 0) + lost, 3000 - Math.floor(3000 / 7));
  });

  test("a program wakes whoever waits", { timeout: 10_000 }, async () => {
    using sample = loadSample(0, 0);
    const events = sample.maps.get("events");
    assert.ok(events);
    using ring = kernel.openRingBuffer(events);
    const waiting = ring.wait(60_000, never).then(() => "woken");
    assert.equal(await Promise.race([waiting, delay(30, "asleep")]), "asleep");
    await assert.rejects(ring.wait(1, never), /somebody is waiting already/);
    programOf(sample, "wake").testRun({ packet: new Uint8Array(64), context: new Uint8Array(skbSizeBytes) });
    assert.equal(await waiting, "woken");
    assert.equal(ring.drain(new Uint8Array(100)).records, 1);
  });

  test("no root: a sentence that says so", () => {
    process.seteuid?.(65534);
    try {
      assert.throws(() => openKernel(), /need root: run this with sudo/);
    } finally {
      process.seteuid?.(0);
    }
  });

  test("no addon: a sentence that says how to build it", () => {
    assert.throws(
      () => openKernel({ addonPath: "/nonexistent/kernel.node" }),
      /\/nonexistent\/kernel.node is not built: any verb of \.\/dev/,
    );
  });

  test("nothing of all this leaves a descriptor open", async () => {
    const everything = async (): Promise<void> => {
      using sample = loadSample(1, 10);
      const events = sample.maps.get("events");
      assert.ok(events);
      using ring = kernel.openRingBuffer(events);
      await ring.wait(1, never);
      using _map = kernel.createMap({
        name: "m",
        type: "hash_of_maps",
        keySizeBytes: 4,
        valueSizeBytes: 4,
        maxEntries: 4,
        inner: innerSpec,
      });
      assert.throws(() => kernel.loadObject({ name: "broken.o", bytes: new Uint8Array(10) }));
      assert.throws(() => kernel.openPinnedMap("/nonexistent"));
      using _link = kernel.attachTcx({ program: programOf(sample, "verdict"), ifindex: 1, direction: "egress" });
      using _netlink = kernel.openNetlink({ family: "route" });
    };
    await everything();
    await delay(0);
    const before = readdirSync("/proc/self/fd").length;
    for (let round = 0; round < 5; round += 1) await everything();
    await delay(0);
    assert.equal(readdirSync("/proc/self/fd").length, before);
  });
});

const innerSpec = { name: "inner", type: "hash", keySizeBytes: 4, valueSizeBytes: 4, maxEntries: 4 } as const;

function programOf(object: LoadedObject, name: string): BpfProgram {
  const program = object.programs.get(name);
  assert.ok(program, `program ${name}`);
  return program;
}

/** Sums over the CPUs. */
function countersOf(sample: LoadedObject): number[] {
  const dump = sample.maps.get("counters")?.dump();
  assert.ok(dump);
  const parts = new BigUint64Array(dump.values.buffer);
  const cpuCount = parts.length / dump.count;
  return Array.from({ length: dump.count }, (_, index) =>
    Number(parts.subarray(index * cpuCount, (index + 1) * cpuCount).reduce((a, b) => a + b, 0n)),
  );
}
