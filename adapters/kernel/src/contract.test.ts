import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { emittedCount, emittedSizeBytes, isEmitted, type World, worldKinds } from "./contract-world.ts";
import { KernelError } from "./errors.ts";
import type { BpfMap, BpfProgram, Kernel, LoadedObject, MapSpec } from "./kernel.ts";

/** What every kernel promises, the real one and the one in memory. */
for (const kind of worldKinds) {
  describe(kind.name, { skip: kind.skip }, () => {
    let world: World;
    let kernel: Kernel;
    before(() => {
      world = kind.open();
      kernel = world.openKernel();
    });
    after(() => {
      const leaked = world.descriptorCount();
      world[Symbol.dispose]();
      assert.equal(leaked, 0, "a test left descriptors open");
    });

    test("a namespace that is made is another one, and so is the next", () => {
      using first = kernel.createNamespace();
      using second = kernel.createNamespace();
      const cookies = [undefined, first.path, second.path].map((path) => kernel.namespaceCookie(path));
      assert.equal(new Set(cookies).size, 3);
    });

    describe("maps", () => {
      test("a hash keeps what was put in, and says what is absent", () => {
        using map = kernel.createMap(mapSpec("hash"));
        assert.equal(map.lookup(u32(1)), undefined);
        map.update(u32(1), u64(11n));
        map.update(u32(1), u64(12n));
        assert.deepEqual(map.lookup(u32(1)), u64(12n));
        assert.equal(map.delete(u32(1)), true);
        assert.equal(map.delete(u32(1)), false);
        assert.deepEqual([map.type, map.keySizeBytes, map.valueSizeBytes, map.maxEntries], ["hash", 4, 8, 16]);
        assert.ok(map.memoryBytes() > 0);
      });

      test("an update may ask for the key to be absent, or present", () => {
        using map = kernel.createMap(mapSpec("hash"));
        assert.throws(() => map.update(u32(1), u64(1n), "present"), failure("ENOENT"));
        map.update(u32(1), u64(1n), "absent");
        assert.throws(() => map.update(u32(1), u64(2n), "absent"), failure("EEXIST"));
        map.update(u32(1), u64(3n), "present");
        assert.deepEqual(map.lookup(u32(1)), u64(3n));
      });

      test("a full map refuses with its name and what it holds", () => {
        using map = kernel.createMap({ ...mapSpec("hash"), name: "small", maxEntries: 2 });
        map.update(u32(1), u64(1n));
        map.update(u32(2), u64(2n));
        assert.throws(() => map.update(u32(3), u64(3n)), failure("E2BIG", /map small: update/));
      });

      test("bytes of a wrong size never reach the kernel", () => {
        using map = kernel.createMap(mapSpec("hash"));
        assert.throws(() => map.update(u64(1n), u64(1n)), /key must have 4 bytes, not 8/);
        assert.throws(() => map.update(u32(1), u32(1)), /value must have 8 bytes, not 4/);
        assert.throws(() => map.updateBatch(new Uint8Array(8), new Uint8Array(8), 2), /2 values must have 16 bytes/);
        assert.throws(() => map.deleteBatch(new Uint8Array(8), 3), /3 keys must have 12 bytes/);
      });

      test("a closed map says so", () => {
        const map = kernel.createMap(mapSpec("hash"));
        map[Symbol.dispose]();
        map[Symbol.dispose]();
        assert.throws(() => map.lookup(u32(1)), failure("EBADF"));
      });

      test("batches of ten thousand go in, come out whole and go away", () => {
        for (const type of ["hash", "lru_hash", "lpm_trie", "array"] as const) {
          const count = 10_000;
          const keySizeBytes = type === "lpm_trie" ? 8 : 4;
          // An LRU map evicts before it is quite full: its free places are spread over the CPUs.
          const maxEntries = type === "lru_hash" ? 4 * count : count;
          using map = kernel.createMap({ ...mapSpec(type), keySizeBytes, maxEntries });
          const { keys, values } = numbered(count, keySizeBytes);
          map.updateBatch(keys, values, count);
          const dump = map.dump();
          assert.equal(dump.count, count, type);
          assert.deepEqual(sortedPairs(dump, keySizeBytes), sortedPairs({ keys, values, count }, keySizeBytes), type);
          if (type === "array") continue;
          assert.equal(map.deleteBatch(keys.subarray(0, 5_000 * keySizeBytes), 5_000), 5_000, type);
          assert.equal(map.deleteBatch(keys.subarray(0, 6_000 * keySizeBytes), 6_000), 1_000, `${type}: absent keys are passed over`);
          assert.equal(map.dump().count, 4_000, type);
        }
      });

      test("a batch that does not fit says how far it came", () => {
        using map = kernel.createMap({ ...mapSpec("hash"), maxEntries: 10 });
        const { keys, values } = numbered(16, 4);
        assert.throws(
          () => map.updateBatch(keys, values, 16),
          (error) => error instanceof KernelError && error.code === "E2BIG" && error.done === 10,
        );
        assert.equal(map.dump().count, 10);
      });

      test("an empty map, and no entries, are nothing special", () => {
        for (const type of ["hash", "lru_hash", "lpm_trie", "percpu_hash"] as const) {
          using map = kernel.createMap({ ...mapSpec(type), keySizeBytes: 8 });
          assert.equal(map.dump().count, 0, type);
          map.updateBatch(new Uint8Array(0), new Uint8Array(0), 0);
          assert.equal(map.deleteBatch(new Uint8Array(0), 0), 0);
        }
      });

      test("an array has all of its entries from the beginning, and keeps them", () => {
        using map = kernel.createMap({ ...mapSpec("array"), maxEntries: 3 });
        assert.deepEqual(map.lookup(u32(2)), u64(0n));
        assert.equal(map.lookup(u32(3)), undefined);
        assert.throws(() => map.update(u32(3), u64(1n)), failure("E2BIG"));
        assert.throws(() => map.delete(u32(0)), failure("EINVAL"));
        assert.equal(map.dump().count, 3);
      });

      test("a trie answers with the longest prefix that agrees", () => {
        using map = kernel.createMap({ ...mapSpec("lpm_trie"), keySizeBytes: 8 });
        map.update(prefix(0, 0, 0, 0, 0), u64(1n));
        map.update(prefix(8, 10, 0, 0, 0), u64(2n));
        map.update(prefix(21, 10, 1, 0xf0, 0), u64(3n));
        map.update(prefix(32, 10, 1, 0xf0, 7), u64(4n));
        const answers: Array<[Uint8Array, bigint]> = [
          [prefix(32, 11, 1, 1, 1), 1n],
          [prefix(32, 10, 2, 3, 4), 2n],
          [prefix(32, 10, 1, 0xf1, 9), 3n],
          [prefix(32, 10, 1, 0xe1, 9), 2n],
          [prefix(32, 10, 1, 0xf0, 7), 4n],
          [prefix(16, 10, 1, 0xf0, 7), 2n], // A key finds nothing longer than itself.
        ];
        for (const [key, value] of answers) assert.deepEqual(map.lookup(key), u64(value), key.join("."));
        assert.equal(map.delete(prefix(21, 10, 1, 0xf5, 3)), true, "bits after the prefix do not count");
        assert.deepEqual(map.lookup(prefix(32, 10, 1, 0xf1, 9)), u64(2n));
        assert.throws(() => map.update(prefix(33, 1, 2, 3, 4), u64(1n)), failure("EINVAL"));
      });

      test("a per-CPU map has one part for each CPU", () => {
        for (const type of ["percpu_hash", "percpu_array"] as const) {
          using map = kernel.createMap({ ...mapSpec(type), valueSizeBytes: 4 });
          const parts = new Uint8Array(8 * kernel.possibleCpuCount);
          for (let cpu = 0; cpu < kernel.possibleCpuCount; cpu += 1) parts[cpu * 8] = cpu + 1;
          map.update(u32(2), parts);
          assert.deepEqual(map.lookup(u32(2)), parts, type);
          const dump = map.dump();
          assert.equal(dump.values.length, dump.count * parts.length, type);
          assert.throws(() => map.update(u32(2), u32(1)), /value must have/);
        }
      });

      test("a full LRU map makes room", () => {
        using map = kernel.createMap({ ...mapSpec("lru_hash"), maxEntries: 1024 });
        const { keys, values } = numbered(4096, 4);
        map.updateBatch(keys, values, 4096);
        const { count } = map.dump();
        assert.ok(count > 0 && count <= 1024, `${count} entries`);
        assert.deepEqual(map.lookup(u32(4095)), u64(4095n));
      });

      test("a map of maps takes descriptors, shows ids and checks shapes", () => {
        const inner = mapSpec("hash");
        for (const type of ["hash_of_maps", "array_of_maps"] as const) {
          using outer = kernel.createMap({ ...mapSpec(type), valueSizeBytes: 4, inner });
          using first = kernel.createMap(inner);
          using wider = kernel.createMap({ ...inner, valueSizeBytes: 16 });
          outer.update(u32(5), u32(first.fd));
          assert.deepEqual(outer.lookup(u32(5)), u32(first.id), type);
          assert.deepEqual([...outer.dump().values], [...u32(first.id)], type);
          assert.throws(() => outer.update(u32(6), u32(wider.fd)), failure("EINVAL"), type);
          assert.equal(outer.lookup(u32(6)), undefined);
          assert.equal(outer.delete(u32(5)), true);
        }
      });

      test("a map of programs takes descriptors and shows ids", () => {
        using map = kernel.createMap({ ...mapSpec("prog_array"), valueSizeBytes: 4 });
        using sample = kernel.loadObject(world.sampleSpec());
        const program = programOf(sample, "verdict");
        map.updateBatch(new Uint8Array([...u32(3), ...u32(9)]), new Uint8Array([...u32(program.fd), ...u32(program.fd)]), 2);
        assert.deepEqual(map.lookup(u32(3)), u32(program.id));
        assert.equal(map.lookup(u32(4)), undefined);
        const dump = map.dump();
        assert.deepEqual([...dump.keys, ...dump.values], [...u32(3), ...u32(9), ...u32(program.id), ...u32(program.id)]);
        assert.equal(map.deleteBatch(new Uint8Array([...u32(3), ...u32(4)]), 2), 1);
      });

      test("entries that stay are in every dump while others change", () => {
        using map = kernel.createMap({ ...mapSpec("hash"), maxEntries: 20_000 });
        const { keys, values } = numbered(5_000, 4);
        map.updateBatch(keys, values, 5_000);
        for (let round = 0; round < 5; round += 1) {
          for (let index = 0; index < 500; index += 1) {
            map.update(u32(100_000 + round * 500 + index), u64(1n));
            if (round > 0) map.delete(u32(100_000 + (round - 1) * 500 + index));
          }
          const dump = map.dump();
          const found = new Set(new Uint32Array(dump.keys.buffer, dump.keys.byteOffset, dump.count));
          for (let number = 0; number < 5_000; number += 1) assert.ok(found.has(number), `entry ${number}`);
        }
      });
    });

    describe("pins", () => {
      test("a pinned map outlives its descriptors and is found again with its contents", () => {
        const path = join(world.pinDirectory, "deep", "er", "map");
        {
          using map = kernel.createMap(mapSpec("hash"));
          map.update(u32(7), u64(77n));
          map.pin(path);
          assert.throws(() => map.pin(path), failure("EEXIST"));
        }
        using again = world.openKernel().openPinnedMap(path);
        assert.deepEqual(again.lookup(u32(7)), u64(77n));
        assert.deepEqual(kernel.listPins(join(world.pinDirectory, "deep")), ["er"]);
        assert.throws(() => kernel.openPinnedProgram(path), failure("EINVAL", /it is a BPF map, not a prog/));
        kernel.unpin(join(world.pinDirectory, "deep"));
        assert.deepEqual(kernel.listPins(join(world.pinDirectory, "deep")), []);
        assert.throws(() => kernel.openPinnedMap(path), failure("ENOENT", /nothing is pinned there/));
        kernel.unpin(path);
      });

      test("only a bpffs takes pins", () => {
        using map = kernel.createMap(mapSpec("hash"));
        assert.throws(() => map.pin("/dev/shm/kernel-door-no-pin"), failure("EPERM", /mount one there first/));
      });

      test("mounting twice and unmounting twice are one", () => {
        const path = join(world.pinDirectory, "..", "second-bpf");
        kernel.mountBpffs(path);
        kernel.mountBpffs(path);
        using map = kernel.createMap(mapSpec("hash"));
        map.pin(join(path, "map"));
        kernel.unmount(path);
        assert.throws(() => map.pin(join(path, "map")), failure("EPERM"), "nothing is mounted under it");
        kernel.unmount(path);
        assert.throws(() => kernel.openPinnedMap(join(path, "map")), failure("ENOENT"));
      });

      test("a program is pinned and found again", () => {
        const path = join(world.pinDirectory, "verdict");
        using sample = kernel.loadObject(world.sampleSpec());
        programOf(sample, "verdict").pin(path);
        using again = kernel.openPinnedProgram(path);
        const { id, tag, type, name } = programOf(sample, "verdict");
        assert.deepEqual([again.id, again.tag, again.type, again.name], [id, tag, type, name]);
        kernel.unpin(path);
      });
    });

    describe("objects", () => {
      test("loading gives every map and program by its name", () => {
        using sample = kernel.loadObject(world.sampleSpec());
        for (const name of ["flows", "counters", "events"]) assert.ok(sample.maps.has(name), name);
        for (const name of ["verdict", "other_verdict", "emit", "wake", "pass", "connect"]) assert.ok(sample.programs.has(name), name);
        assert.equal(programOf(sample, "verdict").type, "sched_cls");
        assert.equal(programOf(sample, "pass").type, "xdp");
        assert.notEqual(programOf(sample, "verdict").tag, programOf(sample, "other_verdict").tag);
      });

      test("a size given in the specification is the map's size", () => {
        using sample = kernel.loadObject(world.sampleSpec({ flows: { maxEntries: 77 } }));
        assert.equal(mapOf(sample, "flows").maxEntries, 77);
      });

      test("a map with a pin path is pinned once, then adopted", () => {
        const pinPath = join(world.pinDirectory, "adopted", "flows");
        {
          using first = kernel.loadObject(world.sampleSpec({ flows: { pinPath } }));
          mapOf(first, "flows").update(u32(1), u64(5n));
        }
        using second = world.openKernel().loadObject(world.sampleSpec({ flows: { pinPath } }));
        assert.deepEqual(mapOf(second, "flows").lookup(u32(1)), u64(5n));
        using other = kernel.loadObject(world.sampleSpec({ flows: { pinPath, maxEntries: 9 } }));
        assert.equal(mapOf(other, "flows").maxEntries, 16384, "a pinned map keeps its size");
        kernel.unpin(pinPath);
      });

      test("a pinned map of another shape is refused with both shapes, and stays", () => {
        const pinPath = join(world.pinDirectory, "mismatch", "flows");
        const countersPath = join(world.pinDirectory, "mismatch", "counters");
        using wider = kernel.createMap({ ...mapSpec("lru_hash"), valueSizeBytes: 16 });
        wider.pin(pinPath);
        const before = world.descriptorCount();
        assert.throws(
          () => kernel.loadObject(world.sampleSpec({ flows: { pinPath }, counters: { pinPath: countersPath } })),
          failure("EEXIST", /pinned is lru_hash \(key 4, value 16, .*wanted is hash \(key 4, value 8, 16384 entries/),
        );
        assert.deepEqual(kernel.listPins(join(world.pinDirectory, "mismatch")), ["flows"]);
        assert.equal(world.descriptorCount(), before);
        kernel.unpin(join(world.pinDirectory, "mismatch"));
      });

      test("a name that the object does not have is refused", () => {
        const spec = world.sampleSpec();
        assert.throws(
          () => kernel.loadObject({ ...spec, rodata: { nobody: u32(1) } }),
          failure("ENOENT", /nobody: it has no such constant/),
        );
        assert.throws(() => kernel.loadObject({ ...spec, rodata: { settings: u32(1) } }), failure("EINVAL", /it has 16 bytes, not 4/));
        assert.throws(
          () => kernel.loadObject({ ...spec, maps: { nobody: { maxEntries: 1 } } }),
          failure("ENOENT", /map nobody: it declares/),
        );
      });

      test("when loading fails, the pins it made are gone", () => {
        const directory = join(world.pinDirectory, "undone");
        const countersPath = join(directory, "counters");
        // Of two maps with one pin path the second cannot be pinned.
        assert.throws(
          () => kernel.loadObject(world.sampleSpec({ flows: { pinPath: countersPath }, events: { pinPath: countersPath } })),
          KernelError,
        );
        assert.deepEqual(kernel.listPins(directory), []);
        kernel.unpin(directory);
      });
    });

    describe("links", () => {
      test("a tcx program is attached, replaced, pinned, and adopted after closing", () => {
        const ifindex = world.addDevice();
        const path = join(world.pinDirectory, "links", "ingress");
        using sample = kernel.loadObject(world.sampleSpec());
        const [verdict, other] = [programOf(sample, "verdict"), programOf(sample, "other_verdict")];
        let id = 0;
        {
          using link = kernel.attachTcx({ program: verdict, ifindex, direction: "ingress" });
          assert.deepEqual([link.ifindex, link.programId], [ifindex, verdict.id]);
          link.update(other);
          assert.equal(link.programId, other.id);
          link.pin(path);
          id = link.id;
        }
        using again = world.openKernel().openPinnedLink(path);
        assert.deepEqual([again.id, again.ifindex, again.programId], [id, ifindex, other.id]);
        again.update(verdict);
        assert.equal(again.programId, verdict.id);
        world.removeDevice(ifindex);
        assert.equal(again.ifindex, 0, "its device is gone");
        assert.throws(() => again.update(other), failure("ENOLINK"));
        kernel.unpin(path);
      });

      test("both directions and several programs stand side by side; the same one twice does not", () => {
        const ifindex = world.addDevice();
        using sample = kernel.loadObject(world.sampleSpec());
        const program = programOf(sample, "verdict");
        using _ingress = kernel.attachTcx({ program, ifindex, direction: "ingress" });
        using _egress = kernel.attachTcx({ program, ifindex, direction: "egress" });
        using _second = kernel.attachTcx({ program: programOf(sample, "other_verdict"), ifindex, direction: "ingress" });
        assert.throws(() => kernel.attachTcx({ program, ifindex, direction: "ingress" }), failure("EEXIST"));
        world.removeDevice(ifindex);
      });

      test("a link that nobody holds is no more", () => {
        const ifindex = world.addDevice();
        using sample = kernel.loadObject(world.sampleSpec());
        const program = programOf(sample, "verdict");
        kernel.attachTcx({ program, ifindex, direction: "ingress" })[Symbol.dispose]();
        using link = kernel.attachTcx({ program, ifindex, direction: "ingress" });
        link.detach();
        assert.equal(link.ifindex, 0);
        using _again = kernel.attachTcx({ program, ifindex, direction: "ingress" });
        world.removeDevice(ifindex);
      });

      test("an XDP program is attached, replaced, and alone", () => {
        const ifindex = world.addDevice();
        using sample = kernel.loadObject(world.sampleSpec());
        const program = programOf(sample, "pass");
        using link = kernel.attachXdp({ program, ifindex, mode: "generic" });
        assert.deepEqual([link.ifindex, link.programId], [ifindex, program.id]);
        assert.throws(() => kernel.attachXdp({ program, ifindex, mode: "generic" }), failure("EBUSY"));
        world.removeDevice(ifindex);
        assert.equal(link.ifindex, 0);
      });

      test("a cgroup program is attached and adopted", () => {
        const path = join(world.pinDirectory, "connect");
        using sample = kernel.loadObject(world.sampleSpec());
        const program = programOf(sample, "connect");
        {
          using link = kernel.attachCgroup({ program, cgroupPath: world.cgroupPath, attachType: "inet4_connect" });
          link.pin(path);
        }
        using again = kernel.openPinnedLink(path);
        assert.deepEqual([again.programId, again.ifindex], [program.id, 0]);
        again.detach();
        kernel.unpin(path);
      });

      test("a program of another type, and a device that is none, are refused", () => {
        const ifindex = world.addDevice();
        using sample = kernel.loadObject(world.sampleSpec());
        assert.throws(() => kernel.attachTcx({ program: programOf(sample, "pass"), ifindex, direction: "ingress" }), failure("EINVAL"));
        assert.throws(
          () => kernel.attachTcx({ program: programOf(sample, "verdict"), ifindex: 0, direction: "ingress" }),
          failure("ENODEV"),
        );
        world.removeDevice(ifindex);
      });
    });

    describe("netlink", () => {
      test("an acknowledged message is answered under its number", async () => {
        using socket = kernel.openNetlink({ family: "route" });
        const message = new Uint8Array(32); // RTM_GETLINK of device 1, NLM_F_REQUEST | NLM_F_ACK
        const view = new DataView(message.buffer);
        view.setUint32(0, message.length, true);
        view.setUint16(4, 18, true);
        view.setUint16(6, 5, true);
        view.setUint32(8, 4711, true);
        view.setInt32(20, 1, true);
        const answer = await socket.transact(message, 1);
        const last = new DataView(answer.buffer, answer.byteOffset + answer.length - 36); // NLMSG_ERROR, capped
        assert.deepEqual([last.getUint16(4, true), last.getUint32(8, true), last.getInt32(16, true)], [2, 4711, 0]);
      });

      test("a socket either asks or listens, and a closed one does neither", async () => {
        const listener = kernel.openNetlink({ family: "route", groups: [1] });
        await assert.rejects(listener.transact(new Uint8Array(16), 1), failure("EINVAL", /open another one/));
        const stop = new AbortController();
        const next = listener.receive(stop.signal)[Symbol.asyncIterator]().next();
        stop.abort();
        assert.equal((await next).done, true);
        listener[Symbol.dispose]();
        const plain = kernel.openNetlink({ family: "route" });
        await assert.rejects(plain.receive(stop.signal)[Symbol.asyncIterator]().next(), failure("EINVAL", /joined no group/));
        plain[Symbol.dispose]();
        await assert.rejects(plain.transact(new Uint8Array(16), 1), failure("EBADF"));
      });
    });

    describe("ring buffers", () => {
      test("records come out whole, in order and without the discarded, also around the ring's end", () => {
        using sample = kernel.loadObject(world.sampleSpec());
        using ring = kernel.openRingBuffer(mapOf(sample, "events"));
        const target = new Uint8Array(128 * 1024);
        for (let round = 0; round < 4; round += 1) {
          const first = round * emittedCount;
          world.emit(kernel, sample, first);
          const drained = ring.drain(target);
          assert.equal(drained.more, false);
          const expected = Array.from({ length: emittedCount }, (_, index) => first + index).filter(isEmitted);
          assert.deepEqual(recordNumbers(target, drained), expected);
        }
        assert.deepEqual(ring.drain(target), { bytes: 0, records: 0, more: false });
      });

      test("a small target takes what fits, and says that there is more", () => {
        using sample = kernel.loadObject(world.sampleSpec());
        using ring = kernel.openRingBuffer(mapOf(sample, "events"));
        const target = new Uint8Array(1000);
        world.emit(kernel, sample, 0);
        const numbers: number[] = [];
        for (let more = true; more; ) {
          const drained = ring.drain(target);
          numbers.push(...recordNumbers(target, drained));
          more = drained.more;
        }
        assert.deepEqual(numbers, Array.from({ length: emittedCount }, (_, index) => index).filter(isEmitted));
      });

      test("a target that cannot hold one record is an error, and loses nothing", () => {
        using sample = kernel.loadObject(world.sampleSpec());
        using ring = kernel.openRingBuffer(mapOf(sample, "events"));
        world.emit(kernel, sample, 0);
        assert.throws(() => ring.drain(new Uint8Array(8)), failure("EMSGSIZE", /drain into 8 bytes/));
        assert.equal(recordNumbers(new Uint8Array(0), { bytes: 0, records: 0 }).length, 0);
        const target = new Uint8Array(128 * 1024);
        assert.equal(recordNumbers(target, ring.drain(target))[0], 0);
      });

      test("what does not fit into the ring is lost, and the ring goes on", () => {
        using sample = kernel.loadObject(world.sampleSpec());
        using ring = kernel.openRingBuffer(mapOf(sample, "events"));
        const target = new Uint8Array(128 * 1024);
        world.emit(kernel, sample, 0);
        world.emit(kernel, sample, emittedCount);
        const numbers = recordNumbers(target, ring.drain(target));
        assert.ok(numbers.length > 857 && numbers.length < 2 * 857, `${numbers.length} records`);
        world.emit(kernel, sample, 7000);
        assert.equal(recordNumbers(target, ring.drain(target))[0], 7000);
      });

      test("waiting ends at once when there are records, after the timeout when there are none, and when aborted", {
        timeout: 10_000,
      }, async () => {
        using sample = kernel.loadObject(world.sampleSpec());
        using ring = kernel.openRingBuffer(mapOf(sample, "events"));
        const never = new AbortController().signal;
        await ring.wait(1, never);
        const stop = new AbortController();
        const waiting = ring.wait(60_000, stop.signal);
        stop.abort();
        await waiting;
        await ring.wait(60_000, stop.signal);
        world.emit(kernel, sample, 0);
        await ring.wait(60_000, never);
        assert.equal(ring.drain(new Uint8Array(128 * 1024)).records, 858);
      });

      test("closing ends the waiting", { timeout: 10_000 }, async () => {
        using sample = kernel.loadObject(world.sampleSpec());
        const ring = kernel.openRingBuffer(mapOf(sample, "events"));
        const waiting = ring.wait(60_000, new AbortController().signal);
        ring[Symbol.dispose]();
        await waiting;
        assert.throws(() => ring.drain(new Uint8Array(1000)), failure("EBADF"));
      });

      test("a map of another type is no ring", () => {
        using map = kernel.createMap(mapSpec("hash"));
        assert.throws(() => kernel.openRingBuffer(map), failure("EINVAL", /the map is a hash/));
      });
    });
  });
}

function mapSpec(type: MapSpec["type"]): MapSpec {
  return { name: "sample", type, keySizeBytes: 4, valueSizeBytes: 8, maxEntries: 16 };
}

function u32(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer);
}

function u64(value: bigint): Uint8Array {
  return new Uint8Array(BigUint64Array.of(value).buffer);
}

function prefix(bits: number, ...address: number[]): Uint8Array {
  return Uint8Array.of(...u32(bits), ...address);
}

/** Keys 0, 1, 2, … (as /32 prefixes when they have 8 bytes) with themselves as values. */
function numbered(count: number, keySizeBytes: number): { keys: Uint8Array; values: Uint8Array } {
  const keys = new Uint32Array((count * keySizeBytes) / 4);
  for (let index = 0; index < count; index += 1) {
    if (keySizeBytes === 8) keys[index * 2] = 32;
    keys[keySizeBytes === 8 ? index * 2 + 1 : index] = index;
  }
  const values = BigUint64Array.from({ length: count }, (_, index) => BigInt(index));
  return { keys: new Uint8Array(keys.buffer), values: new Uint8Array(values.buffer) };
}

function sortedPairs({ keys, values, count }: { keys: Uint8Array; values: Uint8Array; count: number }, keySizeBytes: number): string[] {
  return Array.from({ length: count }, (_, index) => {
    const key = keys.subarray(index * keySizeBytes, (index + 1) * keySizeBytes);
    return `${key.toHex()}=${values.subarray(index * 8, (index + 1) * 8).toHex()}`;
  }).sort();
}

/** Checks the framing as it reads. */
function recordNumbers(target: Uint8Array, drained: { bytes: number; records: number }): number[] {
  const view = new DataView(target.buffer, target.byteOffset, drained.bytes);
  const numbers: number[] = [];
  for (let offset = 0; offset < drained.bytes; ) {
    const lengthBytes = view.getUint32(offset, true);
    const number = view.getUint32(offset + 8, true);
    assert.equal(view.getUint32(offset + 4, true), 0);
    assert.equal(lengthBytes, emittedSizeBytes(number), `size of record ${number}`);
    numbers.push(number);
    offset += 8 + Math.ceil(lengthBytes / 8) * 8;
  }
  assert.equal(numbers.length, drained.records);
  return numbers;
}

function mapOf(object: LoadedObject, name: string): BpfMap {
  const map = object.maps.get(name);
  assert.ok(map, `map ${name}`);
  return map;
}

function programOf(object: LoadedObject, name: string): BpfProgram {
  const program = object.programs.get(name);
  assert.ok(program, `program ${name}`);
  return program;
}

function failure(code: string, message = /./): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof KernelError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  };
}
