import type { Readable, Writable } from "node:stream";
import type { Clock } from "@cilium-ts/std";

/** What the program needs of the process it runs in. */
export interface World {
  readonly stdin: Readable;
  readonly stdout: Writable;
  readonly stderr: Writable;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
}
