import { errorMessage } from "@cilium-ts/std";

interface Step {
  readonly what: string;
  readonly release: boolean;
  readonly undo: () => void | Promise<void>;
}

/**
 * How to take back what has been done so far, last first. One step that fails does not hold up the others, but from there on nothing is
 * released: what may still be in use must not be given to somebody else.
 */
export class Undo implements AsyncDisposable {
  readonly #onProblem: (message: string) => void;
  #steps: Step[] = [];

  constructor(onProblem: (message: string) => void) {
    this.#onProblem = onProblem;
  }

  /** To be undone whatever becomes of the steps after it. */
  add(what: string, undo: () => void | Promise<void>): void {
    this.#steps.push({ what, release: false, undo });
  }

  /** To be given back, if all steps after it could be undone. */
  release(what: string, undo: () => void | Promise<void>): void {
    this.#steps.push({ what, release: true, undo });
  }

  /** What was done stays. */
  keep(): void {
    this.#steps = [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    let failed = false;
    for (const { what, release, undo } of this.#steps.reverse()) {
      if (release && failed) {
        this.#onProblem(`${what} stays taken until the agent is started again, as not everything that has it could be removed`);
        continue;
      }
      try {
        await undo();
      } catch (cause) {
        failed = true;
        this.#onProblem(`${what} could not be taken back: ${errorMessage(cause)}`);
      }
    }
    this.#steps = [];
  }
}
