import { type Clock, errorMessage } from "@cilium-ts/std";
import type { TlsMaterial, TlsSource } from "./tls-source.ts";

export interface ReplacedSourceOptions {
  read(): Promise<TlsMaterial>;
  readonly clock: Clock;
  readonly intervalMs: number;
  readonly onProblem?: (message: string) => void;
}

/** Material that is read again and again. What cannot be used changes nothing. */
export class ReplacedSource implements TlsSource {
  readonly #options: ReplacedSourceOptions;
  readonly #listeners = new Set<(material: TlsMaterial) => void>();
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #current: TlsMaterial;
  #problem: string | undefined;

  static async start(options: ReplacedSourceOptions): Promise<ReplacedSource> {
    return new ReplacedSource(options, await options.read());
  }

  private constructor(options: ReplacedSourceOptions, first: TlsMaterial) {
    this.#options = options;
    this.#current = first;
    this.#running = this.#run();
  }

  get current(): TlsMaterial {
    return this.#current;
  }

  get problem(): string | undefined {
    return this.#problem;
  }

  watch(listener: (material: TlsMaterial) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, intervalMs } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await clock.sleep(intervalMs, signal).catch(() => {}); // Rejects only on abort.
      if (!signal.aborted) await this.#look();
    }
  }

  async #look(): Promise<void> {
    try {
      const next = await this.#options.read();
      this.#problem = undefined;
      if (isSame(next, this.#current)) return;
      this.#current = next;
      for (const listener of this.#listeners) listener(next);
    } catch (cause) {
      const problem = errorMessage(cause);
      if (problem !== this.#problem) this.#options.onProblem?.(`${problem}; the certificates read before stay in force`);
      this.#problem = problem;
    }
  }
}

function isSame(one: TlsMaterial, other: TlsMaterial): boolean {
  return (
    one.pair?.certificate === other.pair?.certificate &&
    one.pair?.key === other.pair?.key &&
    one.authorities.join() === other.authorities.join()
  );
}
