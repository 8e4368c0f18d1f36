import type { Writable } from "node:stream";
import type { Kernel } from "@cilium-ts/kernel";

/** What the program needs of the process it runs in. */
export interface World {
  readonly stdout: Writable;
  readonly stderr: Writable;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Only the commands below `bpf` read the kernel, and the native addon is loaded for them alone. */
  readonly openKernel: () => Promise<Kernel>;
}
