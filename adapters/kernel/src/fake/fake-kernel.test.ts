import assert from "node:assert/strict";
import { closeSync } from "node:fs";
import { describe, test } from "node:test";
import { KernelError, UnsupportedFeature, VerifierRejection } from "../errors.ts";
import { FakeMachine, openFakeKernel } from "../testing.ts";

const hash = { name: "flows", type: "hash", keySizeBytes: 4, valueSizeBytes: 4, maxEntries: 16 } as const;
const pod = { "pod.o": { maps: [hash], programs: [{ name: "pod", type: "sched_cls" }], constants: { config: 4 } } };
const spec = { name: "pod.o", bytes: new Uint8Array(4) };

describe("the fake kernel, beyond the contract", () => {
  test("a process that ends without closing anything leaves what is pinned, and nothing else", () => {
    const machine = new FakeMachine();
    const first = openFakeKernel({ machine, objects: pod });
    first.mountBpffs("/bpf");
    const object = first.loadObject({ ...spec, maps: { flows: { pinPath: "/bpf/flows" } } });
    const program = object.programs.get("pod");
    const flows = object.maps.get("flows");
    assert.ok(program && flows);
    flows.update(bytes(1), bytes(2));
    first.attachTcx({ program, ifindex: 7, direction: "ingress" }).pin("/bpf/links/7");
    first.attachTcx({ program, ifindex: 8, direction: "ingress" });
    first.exit();

    const second = openFakeKernel({ machine, objects: pod });
    assert.deepEqual(second.listPins("/bpf"), ["flows", "links"]);
    assert.deepEqual(second.openPinnedMap("/bpf/flows").lookup(bytes(1)), bytes(2));
    assert.deepEqual(
      [...machine.links].map((link) => [link.attachPoint, link.ifindex]),
      [["tcx-ingress", 7]],
    );
    second.unpin("/bpf/links");
    assert.equal(machine.links.size, 0);
  });

  test("a failure can be ordered for the next call, or a later one, or after part of a batch", () => {
    const kernel = openFakeKernel();
    const map = kernel.createMap(hash);
    kernel.failNext({ operation: "update", code: "ENOMEM", after: 1 });
    map.update(bytes(1), bytes(1));
    assert.throws(() => map.update(bytes(2), bytes(2)), code("ENOMEM"));
    map.update(bytes(2), bytes(2));
    kernel.failNext({ operation: "updateBatch", code: "EBUSY", done: 1 });
    assert.throws(
      () => map.updateBatch(new Uint8Array([...bytes(5), ...bytes(6)]), new Uint8Array(8), 2),
      (error) => error instanceof KernelError && error.done === 1,
    );
    assert.deepEqual([map.lookup(bytes(5)), map.lookup(bytes(6))], [bytes(0), undefined]);
    kernel.failNext({ operation: "attachTcx", code: "ENODEV" });
    using object = openFakeKernel({ objects: pod }).loadObject(spec);
    const program = object.programs.get("pod");
    assert.ok(program);
    assert.throws(() => kernel.attachTcx({ program, ifindex: 1, direction: "egress" }), code("ENODEV"));
  });

  test("the least lately updated entry of a full LRU map goes", () => {
    const map = openFakeKernel().createMap({ ...hash, type: "lru_hash", maxEntries: 2 });
    for (const key of [1, 2, 1, 3]) map.update(bytes(key), bytes(key));
    assert.deepEqual(
      [1, 2, 3].map((key) => map.lookup(bytes(key)) !== undefined),
      [true, false, true],
    );
  });

  test("a device that goes takes its links along", () => {
    const kernel = openFakeKernel({ objects: pod });
    using object = kernel.loadObject(spec);
    const program = object.programs.get("pod");
    assert.ok(program);
    using link = kernel.attachTcx({ program, ifindex: 7, direction: "ingress" });
    kernel.machine.removeDevice(7);
    assert.equal(link.ifindex, 0);
  });

  test("netlink says yes, or what the test says; notifications reach whoever listens", async () => {
    const asked: Uint8Array[] = [];
    const kernel = openFakeKernel({
      onNetlink: ({ messages }) => {
        asked.push(messages);
        return bytes(99);
      },
    });
    using socket = kernel.openNetlink({ family: "route" });
    assert.deepEqual(await socket.transact(bytes(1), 1), bytes(99));
    assert.deepEqual(asked, [bytes(1)]);
    using listener = kernel.openNetlink({ family: "route", groups: [1] });
    const stop = new AbortController();
    const heard: number[] = [];
    kernel.multicast("route", bytes(1));
    kernel.multicast("generic", bytes(2));
    kernel.multicast("route", new Uint8Array(0));
    for await (const batch of listener.receive(stop.signal)) {
      heard.push(batch.length);
      if (heard.length === 2) stop.abort();
    }
    assert.deepEqual(heard, [4, 0]);
  });

  test("a verifier that was told to refuse does so, and nothing is left", () => {
    const kernel = openFakeKernel({ objects: { "pod.o": { ...pod["pod.o"], rejected: { program: "pod", line: "R0 !read_ok" } } } });
    kernel.mountBpffs("/bpf");
    assert.throws(() => kernel.loadObject({ ...spec, maps: { flows: { pinPath: "/bpf/flows" } } }), VerifierRejection);
    assert.deepEqual(kernel.listPins("/bpf"), []);
    assert.equal(kernel.descriptorCount, 0);
  });

  test("no program runs here", () => {
    using object = openFakeKernel({ objects: pod }).loadObject(spec);
    assert.throws(() => object.programs.get("pod")?.testRun({ packet: bytes(0) }), UnsupportedFeature);
  });

  test("sysctls and sockets are remembered by namespace", () => {
    const kernel = openFakeKernel();
    kernel.writeSysctls({ namespacePath: "/run/netns/a", values: [["/proc/sys/net/ipv4/ip_forward", "1"]] });
    assert.equal(kernel.machine.sysctls.get("/run/netns/a")?.get("/proc/sys/net/ipv4/ip_forward"), "1");
    closeSync(kernel.openSocket({ namespacePath: "/run/netns/a", family: "ipv4", type: "stream" }));
    assert.equal(kernel.machine.sockets[0]?.namespacePath, "/run/netns/a");
    assert.notEqual(kernel.namespaceCookie("/run/netns/a"), kernel.namespaceCookie());
    assert.equal(kernel.namespaceCookie(), kernel.namespaceCookie());
  });
});

function bytes(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer);
}

function code(wanted: string): (error: unknown) => boolean {
  return (error) => error instanceof KernelError && error.code === wanted;
}
