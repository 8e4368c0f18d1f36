import { createKernelError, errnos } from "../failure.ts";
import type { BpfLink, BpfMap, Kernel, NetlinkFamily } from "../kernel.ts";
import { createFakeDatagrams } from "./fake-datagrams.ts";
import { createLinkState, type FakeAttachment, FakeLink } from "./fake-link.ts";
import { FakeMap, FakeMapState } from "./fake-map.ts";
import { createFakeNamespaces } from "./fake-namespaces.ts";
import { acknowledgeAll, type FakeNetlinkResponder, FakeNetlinkSocket } from "./fake-netlink.ts";
import { type FakeObjectShape, loadFakeObject } from "./fake-object.ts";
import { createFakePins } from "./fake-pins.ts";
import { FakeRingBuffer } from "./fake-ring-buffer.ts";
import { FakeMachine } from "./machine.ts";
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
  const owner = new FakeProcess(machine);
  const listeners = new Set<FakeNetlinkSocket>();
  const attach = (operation: FakeOperation, attachment: FakeAttachment): BpfLink => {
    owner.check(operation, `program ${attachment.program.name}: attach`);
    owner.at(attachment.program.fd, "prog", `program ${attachment.program.name}`);
    return new FakeLink(owner, createLinkState(machine, attachment));
  };
  return {
    machine,
    release,
    possibleCpuCount,
    get descriptorCount() {
      return owner.descriptorCount;
    },
    failNext: (failure) => owner.failNext(failure),
    exit: () => owner.exit(),
    pushRecord: (map, record) => recordsOf(owner, map).push(record),
    multicast(family, batch) {
      for (const socket of listeners) if (socket.family === family) socket.deliver(batch);
    },
    loadObject(spec) {
      owner.check("loadObject", `object ${spec.name}`);
      return loadFakeObject(owner, spec, objects[spec.name] ?? {}, possibleCpuCount);
    },
    createMap(spec) {
      owner.check("createMap", `map ${spec.name}`);
      return new FakeMap(owner, new FakeMapState(machine, spec, possibleCpuCount), possibleCpuCount, spec.name);
    },
    ...createFakePins(owner, possibleCpuCount),
    ...createFakeNamespaces(owner),
    ...createFakeDatagrams(owner),
    attachTcx: ({ program, ifindex, direction }) => attach("attachTcx", { program, ifindex, attachPoint: `tcx-${direction}` }),
    attachXdp: ({ program, ifindex }) => attach("attachXdp", { program, ifindex, attachPoint: "xdp" }),
    attachCgroup: ({ program, cgroupPath, attachType }) =>
      attach("attachCgroup", { program, cgroupPath, cgroupAttachType: attachType, attachPoint: "cgroup" }),
    openRingBuffer(map) {
      owner.check("openRingBuffer", `ring buffer ${map.name}`);
      return new FakeRingBuffer(owner, map.name, recordsOf(owner, map));
    },
    openNetlink(options) {
      owner.check("openNetlink", `netlink ${options.family}`);
      const socket = new FakeNetlinkSocket(owner, options, onNetlink);
      if ((options.groups ?? []).length > 0) listeners.add(socket);
      return socket;
    },
    monotonicNs: options.monotonicNs ?? (() => process.hrtime.bigint()),
  };
}

function recordsOf(owner: FakeProcess, map: BpfMap): NonNullable<FakeMapState["records"]> {
  const state = owner.at(map.fd, "map", `map ${map.name}`);
  if (state instanceof FakeMapState && state.records !== undefined) return state.records;
  throw createKernelError({ what: `ring buffer ${map.name}`, syscall: "mmap", errno: errnos.EINVAL, reason: `the map is a ${map.type}` });
}
