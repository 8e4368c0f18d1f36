import { readlinkSync } from "node:fs";
import { attempt, createKernelError, errnos } from "./failure.ts";
import type { Native } from "./native.ts";

/** The single owner of a descriptor. Closing is idempotent; using it afterwards is a mistake that says so. */
export class Descriptor implements Disposable {
  readonly #native: Native;
  readonly #what: string;
  #fd: number | undefined;

  constructor(native: Native, fd: number, what: string) {
    this.#native = native;
    this.#fd = fd;
    this.#what = what;
  }

  get fd(): number {
    if (this.#fd === undefined) throw createKernelError({ what: this.#what, syscall: "use", errno: errnos.EBADF, reason: "it was closed" });
    return this.#fd;
  }

  [Symbol.dispose](): void {
    if (this.#fd === undefined) return;
    this.#native.close(this.#fd);
    this.#fd = undefined;
  }
}

/** Looks at a descriptor that was just opened; it is closed when that fails, since nobody else could. */
export function inspect<T>(native: Native, fd: number, what: string, look: () => T): T {
  try {
    return attempt(what, look);
  } catch (cause) {
    native.close(fd);
    throw cause;
  }
}

export type DescriptorKind = "map" | "prog" | "link";

/** Throws EINVAL when the descriptor is of another kind: a pin says nothing about what it holds. */
export function checkDescriptorKind(fd: number, wanted: DescriptorKind, what: string): void {
  // "anon_inode:bpf-map"; of links, kernels write both "bpf_link" and "bpf-link", some in brackets.
  const kind = /^anon_inode:\[?bpf[-_](\w+)\]?$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1];
  if (kind === wanted) return;
  throw createKernelError({ what, syscall: "bpf(OBJ_GET)", errno: errnos.EINVAL, reason: `it is a BPF ${kind}, not a ${wanted}` });
}
