import type { BpfLink, BpfProgram, Kernel } from "@cilium-ts/kernel";
import { KernelError } from "@cilium-ts/kernel";

/** A program on a device, kept by a pin. */
export interface PinnedLink {
  readonly path: string;
  readonly program: BpfProgram;
  readonly ifindex: number;
  readonly direction: "ingress" | "egress";
}

/** Links that outlive this process. */
export class PinnedLinks {
  readonly #kernel: Kernel;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /** Keeps a link that is right, replaces the program of one that is old, and makes one that is missing. */
  apply({ path, program, ifindex, direction }: PinnedLink): void {
    using pinned = this.#open(path);
    if (pinned?.ifindex === ifindex) {
      if (pinned.programId !== program.id) pinned.update(program);
      return;
    }
    if (pinned !== undefined) {
      pinned.detach();
      this.#kernel.unpin(path);
    }
    using link = this.#kernel.attachTcx({ program, ifindex, direction });
    link.pin(path);
  }

  /** Takes the program off its device; absent: nothing happens. */
  remove(path: string): void {
    using link = this.#open(path);
    if (link === undefined) return;
    link.detach();
    this.#kernel.unpin(path);
  }

  #open(path: string): BpfLink | undefined {
    try {
      return this.#kernel.openPinnedLink(path);
    } catch (cause) {
      if (cause instanceof KernelError && cause.code === "ENOENT") return undefined;
      throw cause;
    }
  }
}
