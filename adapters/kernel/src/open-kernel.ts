import { readFileSync } from "node:fs";
import { release } from "node:os";
import { openRedirected, openReplies } from "./datagrams.ts";
import { KernelError } from "./errors.ts";
import { NativeExchange } from "./exchange.ts";
import { attempt, errnos } from "./failure.ts";
import type { Kernel } from "./kernel.ts";
import { attachCgroup, attachTcx, attachXdp, openPinnedLink } from "./link.ts";
import { createMap, openPinnedMap } from "./map.ts";
import { createNamespace, namespaceCookie, openSocket, writeSysctls } from "./namespaced.ts";
import { builtAddonPath, loadNative } from "./native.ts";
import { NativeNetlinkSocket } from "./netlink-socket.ts";
import { loadObject } from "./object.ts";
import { listPins, mountBpffs, removePin, unmount } from "./pin.ts";
import { openPinnedProgram } from "./program.ts";
import { NativeRingBuffer } from "./ring-buffer.ts";

/** The kernel of this machine. Needs root and the built addon, which a bundle may have put elsewhere. */
export function openKernel({ addonPath = builtAddonPath }: { addonPath?: string } = {}): Kernel {
  if (process.geteuid?.() !== 0) {
    const message = "BPF programs, maps and network namespaces need root: run this with sudo";
    throw new KernelError({ message, syscall: "geteuid", errno: errnos.EPERM, code: "EPERM" });
  }
  const native = loadNative(addonPath);
  const possibleCpuCount = readPossibleCpuCount();
  const kernelRelease = release();
  return {
    release: kernelRelease,
    possibleCpuCount,
    loadObject: (spec) => loadObject(native, spec, possibleCpuCount),
    createMap: (spec) => createMap(native, spec, possibleCpuCount),
    openPinnedMap: (path) => openPinnedMap(native, path, possibleCpuCount),
    openPinnedProgram: (path) => openPinnedProgram(native, path),
    openPinnedLink: (path) => openPinnedLink(native, path),
    unpin: (path) => removePin(path),
    listPins: (directory) => listPins(directory),
    attachTcx: (options) => attachTcx(native, kernelRelease, options),
    attachXdp: (options) => attachXdp(native, options),
    attachCgroup: (options) => attachCgroup(native, options),
    mountBpffs: (path) => mountBpffs(native, path),
    unmount: (path) => unmount(native, path),
    openRingBuffer: (map) => new NativeRingBuffer(native, map),
    openNetlink: (options) => new NativeNetlinkSocket(native, options),
    openSocket: (options) => openSocket(native, options),
    openRedirected: (options) => openRedirected(native, options),
    openReplies: (options) => openReplies(native, options),
    openExchange: (options) => new NativeExchange(native, options?.namespacePath),
    writeSysctls: (options) => writeSysctls(native, options),
    createNamespace: () => createNamespace(native),
    namespaceCookie: (path) => namespaceCookie(native, path),
    monotonicNs: () => process.hrtime.bigint(), // libuv reads CLOCK_MONOTONIC.
  };
}

/** "0-3,8-11": the size of per-CPU values counts up to the last possible CPU (libbpf_num_possible_cpus). */
function readPossibleCpuCount(): number {
  const text = attempt("possible CPUs", () => readFileSync("/sys/devices/system/cpu/possible", "latin1")).trim();
  let count = 0;
  for (const range of text.split(",")) {
    const [first = 0, last = first] = range.split("-").map(Number);
    count += last - first + 1;
  }
  return count;
}
