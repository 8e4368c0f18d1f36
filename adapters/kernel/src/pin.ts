import { existsSync, mkdirSync, readdirSync, rmSync, statfsSync } from "node:fs";
import { dirname } from "node:path";
import { checkDescriptorKind, type DescriptorKind, inspect } from "./descriptor.ts";
import { attempt, createKernelError, errnos, nativeFailure, toKernelError } from "./failure.ts";
import type { Native } from "./native.ts";

/** BPF_FS_MAGIC of linux/magic.h. */
const bpffsMagic = 0xcafe4a11;

function isInBpffs(path: string): boolean {
  return statfsSync(path).type === bpffsMagic;
}

/** Pins, making the directories above. */
export function pinDescriptor(native: Native, fd: number, path: string, what: string): void {
  const pinning = `${what}: pin at ${path}`;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    native.pin(fd, path);
  } catch (cause) {
    const outside = nativeFailure(cause)?.errno === errnos.EPERM;
    throw toKernelError(cause, pinning, outside ? "only a bpffs takes pins: mount one there first" : undefined);
  }
}

/** A descriptor of what is pinned there, undefined when nothing is. */
export function openPin(native: Native, path: string): number | undefined {
  try {
    return native.openPin(path);
  } catch (cause) {
    const failure = nativeFailure(cause);
    if (failure?.errno === errnos.ENOENT) return undefined;
    throw toKernelError(cause, `pin ${path}`);
  }
}

export function openPinOf(native: Native, path: string, kind: DescriptorKind): number {
  const what = `pin ${path}`;
  const fd = openPin(native, path);
  if (fd === undefined) throw createKernelError({ what, syscall: "bpf(OBJ_GET)", errno: errnos.ENOENT, reason: "nothing is pinned there" });
  inspect(native, fd, what, () => checkDescriptorKind(fd, kind, what));
  return fd;
}

/** Absent: nothing happens. Nothing outside of a bpffs is ever removed. */
export function removePin(path: string): void {
  const what = `unpin ${path}`;
  attempt(what, () => {
    if (!existsSync(path)) return;
    if (!isInBpffs(path)) throw createKernelError({ what, syscall: "unlink", errno: errnos.EINVAL, reason: "it is no place in a bpffs" });
    rmSync(path, { recursive: true, force: true });
  });
}

/** Names in a directory of pins; none when it does not exist. */
export function listPins(directory: string): string[] {
  return attempt(`pins in ${directory}`, () => (existsSync(directory) ? readdirSync(directory).sort() : []));
}

/** For undoing: whatever goes wrong was wrong already. */
export function forcePinsAway(paths: readonly string[]): void {
  for (const path of paths) rmSync(path, { force: true });
}

export function mountBpffs(native: Native, path: string): void {
  attempt(`bpffs at ${path}`, () => {
    mkdirSync(path, { recursive: true });
    if (!isInBpffs(path)) native.mountBpffs(path);
  });
}

/** Where nothing is mounted, nothing happens. */
export function unmount(native: Native, path: string): void {
  try {
    native.unmount(path);
  } catch (cause) {
    const errno = nativeFailure(cause)?.errno;
    if (errno === errnos.ENOENT || errno === errnos.EINVAL) return;
    throw toKernelError(cause, `unmount ${path}`);
  }
}
