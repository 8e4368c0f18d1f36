import { connect, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { eventually } from "@cilium-ts/testing";
import type { Outcome, Protocol, StreamState, WorkloadRequest } from "./workload.ts";

/** A place with a workload in it: a pod, the node itself, or a machine outside. */
export interface Place {
  readonly name: string;
  readonly namespacePath: string;
  readonly ipv4: string;
  readonly ipv6: string;
}

export const families = ["ipv4", "ipv6"] as const;
export type Family = (typeof families)[number];

/** Long enough that a busy machine does not make it pass for a drop. */
const answerTimeoutMs = 5_000;
/** A SYN that is dropped is never answered; waiting longer would only show the same again. */
const dropTimeoutMs = 400;

/** Tells the workload of one place what to do. */
export class Workload implements Place {
  readonly name: string;
  readonly namespacePath: string;
  readonly ipv4: string;
  readonly ipv6: string;
  readonly #socket: Socket;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #lastId = 0;

  private constructor(place: Place, socket: Socket) {
    this.name = place.name;
    this.namespacePath = place.namespacePath;
    this.ipv4 = place.ipv4;
    this.ipv6 = place.ipv6;
    this.#socket = socket;
    createInterface({ input: socket }).on("line", (line) => this.#answered(line));
    socket.on("error", () => {}); // Said by close.
    socket.on("close", () => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`the workload of ${place.name} has ended`));
    });
  }

  /** Waits until the workload listens. */
  static async open(place: Place, socketPath: string): Promise<Workload> {
    const socket = await eventually(() => connected(socketPath), { deadlineMs: 20_000, intervalMs: 20 });
    return new Workload(place, socket);
  }

  async listen(protocol: Protocol, ...ports: readonly number[]): Promise<void> {
    for (const port of ports) await this.#call({ do: "listen", protocol, port });
  }

  /** What comes of an attempt that is expected to be answered, or refused. */
  ask(to: Place, family: Family, protocol: Protocol, port: number, sizeBytes = 1, timeoutMs = answerTimeoutMs): Promise<Outcome> {
    return this.#call({ do: "ask", protocol, address: to[family], port, sizeBytes, timeoutMs }) as Promise<Outcome>;
  }

  /** What comes of an attempt that is expected to be dropped. */
  askInVain(to: Place, family: Family, protocol: Protocol, port: number): Promise<Outcome> {
    return this.ask(to, family, protocol, port, 1, dropTimeoutMs);
  }

  async stream(name: string, to: Place, family: Family, port: number): Promise<void> {
    await this.#call({ do: "stream", name, address: to[family], port });
    await eventually(async () => {
      const state = await this.look(name);
      if (state.receivedBytes < 5)
        throw new Error(`${this.name}: stream ${name} has brought ${state.receivedBytes} bytes: ${state.outcome}`);
    });
  }

  look(name: string): Promise<StreamState> {
    return this.#call({ do: "look", name }) as Promise<StreamState>;
  }

  /** The addresses of a name by the server at the place; the error's code where there are none. */
  resolve(hostname: string, server: Place, family: Family): Promise<readonly string[] | Outcome> {
    return this.#call({ do: "resolve", server: server[family], hostname, family: family === "ipv4" ? 4 : 6 }) as Promise<
      readonly string[] | Outcome
    >;
  }

  close(): void {
    this.#socket.destroy();
  }

  #call(request: WorkloadRequest): Promise<unknown> {
    this.#lastId += 1;
    const answer = Promise.withResolvers<unknown>();
    this.#waiting.set(this.#lastId, answer);
    this.#socket.write(`${JSON.stringify({ id: this.#lastId, ...request })}\n`);
    return answer.promise;
  }

  #answered(line: string): void {
    const { id, value, error } = JSON.parse(line);
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) waiting?.resolve(value);
    else waiting?.reject(new Error(`${this.name}: ${error}`));
  }
}

function connected(socketPath: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath);
    socket.once("connect", () => resolve(socket));
    socket.once("error", reject);
  });
}
