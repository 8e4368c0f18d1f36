import { openSync } from "node:fs";
import { createKernelError, errnos } from "../failure.ts";
import type { BpfLink, BpfMap, Kernel, NetlinkFamily } from "../kernel.ts";
import { createLinkState, type FakeAttachment, FakeLink } from "./fake-link.ts";
import { FakeMap, FakeMapState } from "./fake-map.ts";
import { acknowledgeAll, type FakeNetlinkResponder, FakeNetlinkSocket } from "./fake-netlink.ts";
import { type FakeObjectShape, loadFakeObject } from "./fake-object.ts";
import { FakeProgram, type FakeProgramState } from "./fake-program.ts";
import { FakeRingBuffer } from "./fake-ring-buffer.ts";
import { type FakeLinkState, FakeMachine, type FakeObject } from "./machine.ts";
import { type FakeFailure, type FakeOperation, FakeProcess } from "./process.ts";

export interface FakeKernelOptions {
  /** What an earlier fake kernel left: pins, links, sysctls. A new machine by default. */
  readonly machine?: FakeMachine;
  /** "6.18.0-fake" by default. */
  readonly release?: string;
  /** 2 by default. */
  readonly possibleCpuCount?: number;
  /** What compiled objects declare, by the name of their specification ("pod.o"). Others declare nothing. */
  readonly objects?: Readonly<Record<string, FakeObjectShape>>;
  /** Says yes to everything by default. */
  readonly onNetlink?: FakeNetlinkResponder;
  readonly monotonicNs?: () => bigint;
}

export interface FakeKernel extends Kernel {
  readonly machine: FakeMachine;
  /** Open descriptors of maps, programs and links: 0 when nothing leaks. */
  readonly descriptorCount: number;
  /** The next call of the operation fails, or a later one. */
  failNext(failure: FakeFailure): void;
  /** As a program would; false when the ring is full and the record lost. */
  pushRecord(map: BpfMap, record: Uint8Array): boolean;
  /** To every socket of the family that has joined groups. An empty batch: some were lost. */
  multicast(family: NetlinkFamily, batch: Uint8Array): void;
  /** The process ends without closing anything. Pinned things stay on the machine. */
  exit(): void;
}

/** A kernel in memory, with the same promises as the real one, except that no program runs and no packet flows. */
export function openFakeKernel(options: FakeKernelOptions = {}): FakeKernel {
  const { machine = new FakeMachine(), release = "6.18.0-fake", possibleCpuCount = 2, objects = {}, onNetlink = acknowledgeAll } = options;
  const process = new FakeProcess(machine);
  const listeners = new Set<FakeNetlinkSocket>();
  const attach = (operation: FakeOperation, attachment: FakeAttachment): BpfLink => {
    process.check(operation, `program ${attachment.program.name}: attach`);
    process.at(attachment.program.fd, "prog", `program ${attachment.program.name}`);
    return new FakeLink(process, createLinkState(machine, attachment));
  };
  const pinned = <State extends FakeObject>(operation: FakeOperation, path: string, kind: State["kind"]): State => {
    process.check(operation, `pin ${path}`);
    const object = machine.pins.get(path);
    if (object?.kind === kind) return object as State; // The kind says which.
    const reason = object === undefined ? "nothing is pinned there" : `it is a BPF ${object.kind}, not a ${kind}`;
    throw createKernelError({
      what: `pin ${path}`,
      syscall: "bpf(OBJ_GET)",
      errno: object === undefined ? errnos.ENOENT : errnos.EINVAL,
      reason,
    });
  };
  return {
    machine,
    release,
    possibleCpuCount,
    get descriptorCount() {
      return process.descriptorCount;
    },
    failNext: (failure) => process.failNext(failure),
    exit: () => process.exit(),
    pushRecord: (map, record) => recordsOf(process, map).push(record),
    multicast(family, batch) {
      for (const socket of listeners) if (socket.family === family) socket.deliver(batch);
    },
    loadObject(spec) {
      process.check("loadObject", `object ${spec.name}`);
      return loadFakeObject(process, spec, objects[spec.name] ?? {}, possibleCpuCount);
    },
    createMap(spec) {
      process.check("createMap", `map ${spec.name}`);
      return new FakeMap(process, new FakeMapState(machine, spec, possibleCpuCount), possibleCpuCount, spec.name);
    },
    openPinnedMap: (path) => new FakeMap(process, pinned<FakeMapState>("openPinnedMap", path, "map"), possibleCpuCount),
    openPinnedProgram: (path) => new FakeProgram(process, pinned<FakeProgramState>("openPinnedProgram", path, "prog")),
    openPinnedLink: (path) => new FakeLink(process, pinned<FakeLinkState>("openPinnedLink", path, "link")),
    listPins: (directory) => machine.listPins(directory),
    unpin(path) {
      process.check("unpin", `unpin ${path}`);
      machine.unpin(path);
    },
    attachTcx: ({ program, ifindex, direction }) => attach("attachTcx", { program, ifindex, attachPoint: `tcx-${direction}` }),
    attachXdp: ({ program, ifindex }) => attach("attachXdp", { program, ifindex, attachPoint: "xdp" }),
    attachCgroup: ({ program, cgroupPath, attachType }) =>
      attach("attachCgroup", { program, cgroupPath, cgroupAttachType: attachType, attachPoint: "cgroup" }),
    mountBpffs(path) {
      process.check("mountBpffs", `bpffs at ${path}`);
      if (!machine.isInBpffs(path)) machine.mounts.add(path);
    },
    unmount(path) {
      process.check("unmount", `unmount ${path}`);
      machine.unmount(path);
    },
    openRingBuffer(map) {
      process.check("openRingBuffer", `ring buffer ${map.name}`);
      return new FakeRingBuffer(process, map.name, recordsOf(process, map));
    },
    openNetlink(options) {
      process.check("openNetlink", `netlink ${options.family}`);
      const socket = new FakeNetlinkSocket(process, options, onNetlink);
      if ((options.groups ?? []).length > 0) listeners.add(socket);
      return socket;
    },
    openSocket(options) {
      process.check("openSocket", `${options.family} ${options.type} socket`);
      machine.sockets.push(options);
      return openSync("/dev/null", "r+"); // A descriptor that can be closed, and nothing else.
    },
    writeSysctls({ namespacePath = "", values }) {
      process.check("writeSysctls", "sysctls");
      const written = machine.sysctls.get(namespacePath) ?? new Map<string, string>();
      for (const [path, value] of values) written.set(path, value);
      machine.sysctls.set(namespacePath, written);
    },
    namespaceCookie(namespacePath = "") {
      process.check("namespaceCookie", "cookie");
      return machine.cookie(namespacePath);
    },
    monotonicNs: options.monotonicNs ?? (() => globalThis.process.hrtime.bigint()),
  };
}

function recordsOf(process: FakeProcess, map: BpfMap): NonNullable<FakeMapState["records"]> {
  const state = process.at(map.fd, "map", `map ${map.name}`);
  if (state instanceof FakeMapState && state.records !== undefined) return state.records;
  throw createKernelError({ what: `ring buffer ${map.name}`, syscall: "mmap", errno: errnos.EINVAL, reason: `the map is a ${map.type}` });
}
