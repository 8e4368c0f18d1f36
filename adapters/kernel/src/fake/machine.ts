import { createKernelError, errnos } from "../failure.ts";
import type { SocketOptions } from "../kernel.ts";

/** What can be held by descriptors and pins; when nobody holds it any more, it ends. */
export interface FakeObject {
  readonly kind: "map" | "prog" | "link";
  readonly id: number;
  references: number;
  /** Called when the last reference is gone. */
  end(): void;
}

export interface FakeLinkState extends FakeObject {
  readonly kind: "link";
  readonly attachPoint: "tcx-ingress" | "tcx-egress" | "xdp" | "cgroup";
  /** Only of a cgroup's link. */
  readonly cgroupPath: string | undefined;
  readonly cgroupAttachType: string | undefined;
  ifindex: number;
  programId: number;
}

/** What stays when a process ends: pins, links, sysctls. Give the same machine to the next `openFakeKernel`. */
export class FakeMachine {
  readonly pins = new Map<string, FakeObject>();
  readonly mounts = new Set<string>();
  /** Attached ones. */
  readonly links = new Set<FakeLinkState>();
  /** By namespace path ("" is our own), then by path below /proc/sys. */
  readonly sysctls = new Map<string, Map<string, string>>();
  /** Every socket that was opened, in order. */
  readonly sockets: SocketOptions[] = [];
  /** That were made, ended ones among them. */
  namespaces = 0;
  readonly #cookies = new Map<string, bigint>();
  #lastId = 0;

  nextId(): number {
    this.#lastId += 1;
    return this.#lastId;
  }

  /** As when `ip link del` removes a device: its links stay, detached. */
  removeDevice(ifindex: number): void {
    for (const link of this.links) {
      if (link.ifindex !== ifindex) continue;
      link.ifindex = 0;
      this.links.delete(link);
    }
  }

  cookie(namespacePath: string): bigint {
    const cookie = this.#cookies.get(namespacePath) ?? BigInt(this.#cookies.size + 1);
    this.#cookies.set(namespacePath, cookie);
    return cookie;
  }

  isInBpffs(path: string): boolean {
    for (const mount of this.mounts) if (path === mount || path.startsWith(`${mount}/`)) return true;
    return false;
  }

  pin(object: FakeObject, path: string, what: string): void {
    const pinning = `${what}: pin at ${path}`;
    if (!this.isInBpffs(path)) {
      const detail = "only a bpffs takes pins: mount one there first";
      throw createKernelError({ what: pinning, syscall: "bpf(OBJ_PIN)", errno: errnos.EPERM, detail });
    }
    if (this.pins.has(path)) throw createKernelError({ what: pinning, syscall: "bpf(OBJ_PIN)", errno: errnos.EEXIST });
    this.pins.set(path, object);
    object.references += 1;
  }

  /** The pin at the path, or all below it. */
  unpin(path: string): void {
    if (!this.isInBpffs(path)) {
      if (!this.#below(path).next().done) throw createKernelError({ what: `unpin ${path}`, syscall: "unlink", errno: errnos.EINVAL });
      return;
    }
    for (const [pinPath, object] of [...this.#below(path)]) {
      this.pins.delete(pinPath);
      this.release(object);
    }
  }

  listPins(directory: string): string[] {
    const names = new Set<string>();
    for (const [path] of this.#below(directory)) {
      if (path !== directory) names.add(path.slice(directory.length + 1).split("/")[0] ?? "");
    }
    return [...names].sort();
  }

  unmount(path: string): void {
    if (!this.mounts.has(path)) return;
    this.unpin(path);
    this.mounts.delete(path);
  }

  release(object: FakeObject): void {
    object.references -= 1;
    if (object.references === 0) object.end();
  }

  *#below(path: string): Generator<[string, FakeObject]> {
    for (const [pinPath, object] of this.pins) {
      if (pinPath === path || pinPath.startsWith(`${path}/`)) yield [pinPath, object];
    }
  }
}
