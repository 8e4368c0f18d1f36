import type { Writable } from "node:stream";
import type { Clock } from "@cilium-ts/std";

/** What the program needs of the process it runs in. */
export interface World {
  readonly stdout: Writable;
  readonly stderr: Writable;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
}
