import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { requireKernel } from "@cilium-ts/testing";
import { compileSample } from "../testdata/compile.ts";
import type { Kernel, LoadedObject, ObjectSpec } from "./kernel.ts";
import { openKernel } from "./open-kernel.ts";
import { FakeMachine, type FakeObjectShape, openFakeKernel } from "./testing.ts";

/** What `emit` of sample.c writes in one run: numbers from its start on, of which every seventh is thrown away. */
export const emittedCount = 1000;

export function isEmitted(number: number): boolean {
  return number % 7 !== 6;
}

export function emittedSizeBytes(number: number): number {
  return 8 + (number & 63);
}

/** A place where the contract holds: this machine, or memory. */
export interface World extends Disposable {
  readonly pinDirectory: string;
  readonly cgroupPath: string;
  /** Each call is another process, as far as pins and descriptors can tell. */
  openKernel(): Kernel;
  sampleSpec(maps?: ObjectSpec["maps"]): ObjectSpec;
  /** Returns its index. */
  addDevice(): number;
  removeDevice(ifindex: number): void;
  /** Writes `emittedCount` records, less the discarded, into the sample's ring buffer. */
  emit(kernel: Kernel, sample: LoadedObject, first: number): void;
  /** Descriptors of BPF objects that are open. */
  descriptorCount(): number;
}

export interface WorldKind {
  readonly name: string;
  readonly skip: string | false;
  open(): World;
}

export const worldKinds: readonly WorldKind[] = [
  { name: "the kernel of this machine", skip: requireKernel(), open: openRealWorld },
  { name: "the fake kernel", skip: false, open: openFakeWorld },
];

export function settingsBytes(verdict: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(verdict, emittedCount, 0, 0).buffer);
}

function openRealWorld(): World {
  const prefix = `kd${process.pid}`;
  const directory = mkdtempSync(join(tmpdir(), "kernel-door-"));
  const pinDirectory = join(directory, "bpf");
  const cgroupPath = join(findCgroupRoot(), prefix);
  mkdirSync(cgroupPath);
  const kernel = openKernel();
  kernel.mountBpffs(pinDirectory);
  const bytes = compileSample("sample", directory);
  const devices = new Map<number, string>();
  const removeDevice = (ifindex: number): void => {
    const name = devices.get(ifindex);
    if (name !== undefined) execFileSync("ip", ["link", "del", name]);
    devices.delete(ifindex);
  };
  return {
    pinDirectory,
    cgroupPath,
    openKernel: () => openKernel(),
    sampleSpec: (maps = {}) => ({ name: "sample.o", bytes, rodata: { settings: settingsBytes(42) }, maps }),
    addDevice() {
      const name = `${prefix}n${devices.size}`;
      execFileSync("ip", ["link", "add", name, "type", "veth", "peer", "name", `${name}p`]);
      const ifindex = Number(readFileSync(`/sys/class/net/${name}/ifindex`, "latin1"));
      devices.set(ifindex, name);
      return ifindex;
    },
    removeDevice,
    emit(_kernel, sample, first) {
      const context = new Uint8Array(192);
      new DataView(context.buffer).setUint32(8, first, true); // __sk_buff.mark
      sample.programs.get("emit")?.testRun({ packet: new Uint8Array(64), context });
    },
    descriptorCount: () => countDescriptors(/^anon_inode:\[?bpf/),
    [Symbol.dispose]() {
      for (const ifindex of [...devices.keys()]) removeDevice(ifindex);
      kernel.unmount(pinDirectory);
      rmSync(directory, { recursive: true });
      rmdirSync(cgroupPath);
    },
  };
}

/** Open descriptors whose target matches. */
export function countDescriptors(pattern: RegExp): number {
  return readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return pattern.test(readlinkSync(`/proc/self/fd/${fd}`));
    } catch {
      return false; // The one that was reading the directory.
    }
  }).length;
}

function findCgroupRoot(): string {
  const mount = /^\S+ (\S+) cgroup2 /m.exec(readFileSync("/proc/mounts", "latin1"))?.[1];
  if (mount === undefined) throw new Error("cgroup2 is not mounted");
  return mount;
}

/** What sample.c declares. */
const sampleShape: FakeObjectShape = {
  maps: [
    { name: "flows", type: "hash", keySizeBytes: 4, valueSizeBytes: 8, maxEntries: 16384 },
    { name: "counters", type: "percpu_array", keySizeBytes: 4, valueSizeBytes: 8, maxEntries: 4 },
    { name: "events", type: "ringbuf", keySizeBytes: 0, valueSizeBytes: 0, maxEntries: 65536 },
  ],
  programs: [
    { name: "verdict", type: "sched_cls" },
    { name: "other_verdict", type: "sched_cls" },
    { name: "emit", type: "sched_cls" },
    { name: "wake", type: "sched_cls" },
    { name: "pass", type: "xdp" },
    { name: "connect", type: "cgroup_sock_addr" },
  ],
  constants: { settings: 16, before: 8, after: 8 },
};

function openFakeWorld(): World {
  const machine = new FakeMachine();
  const openAnother = (): ReturnType<typeof openFakeKernel> => openFakeKernel({ machine, objects: { "sample.o": sampleShape } });
  const kernels: Array<ReturnType<typeof openFakeKernel>> = [];
  let lastIfindex = 1;
  openAnother().mountBpffs("/run/fake-bpf");
  return {
    pinDirectory: "/run/fake-bpf",
    cgroupPath: "/sys/fs/cgroup/fake",
    openKernel() {
      const kernel = openAnother();
      kernels.push(kernel);
      return kernel;
    },
    sampleSpec: (maps = {}) => ({ name: "sample.o", bytes: new Uint8Array(8), rodata: { settings: settingsBytes(42) }, maps }),
    addDevice() {
      lastIfindex += 1;
      return lastIfindex;
    },
    removeDevice: (ifindex) => machine.removeDevice(ifindex),
    emit(owner, sample, first) {
      const events = sample.maps.get("events");
      const kernel = kernels.find((opened) => opened === owner);
      if (events === undefined || kernel === undefined) throw new Error("the sample is not loaded");
      for (let number = first; number < first + emittedCount; number += 1) {
        const record = new Uint8Array(emittedSizeBytes(number));
        new DataView(record.buffer).setUint32(0, number, true);
        if (isEmitted(number)) kernel.pushRecord(events, record);
      }
    },
    descriptorCount: () => kernels.reduce((sum, kernel) => sum + kernel.descriptorCount, 0),
    [Symbol.dispose]() {},
  };
}
