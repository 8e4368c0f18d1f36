import type { Flow } from "@cilium-ts/flow";

/** Where lines go. Appending never waits: lines are held up to a limit, then counted as lost. */
export interface LineSink extends AsyncDisposable {
  /** `flow` is what the line tells; absent for other lines. */
  append(line: string, flow?: Flow): void;
  readonly written: number;
  readonly lost: number;
}
