import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pluginPath } from "./build.ts";

/** How a run of the plugin ended. */
export interface Ended {
  readonly status: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Run {
  readonly plugin?: string;
  readonly variables?: Readonly<Record<string, string>>;
  /** Undefined: standard input stays open. */
  readonly input?: string | Buffer;
}

const deadlineMs = 20_000;

export function runPlugin(run: Run): Promise<Ended> {
  const child = spawn(run.plugin ?? pluginPath, { env: { ...run.variables }, stdio: ["pipe", "pipe", "pipe"], timeout: deadlineMs });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => void stdout.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => void stderr.push(chunk));
  child.stdin.on("error", () => {}); // It may end before it has read everything.
  if (run.input !== undefined) child.stdin.end(run.input);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (status) => {
      child.stdin.destroy();
      resolve({ status: status ?? undefined, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() });
    });
  });
}

/** What a CNI error says; fails the test when the output is none. */
export interface CniFailure {
  readonly cniVersion: string;
  readonly code: number;
  readonly msg: string;
}

export function failureOf(ended: Ended): CniFailure {
  if (ended.status !== 1) throw new Error(`exit code ${ended.status} where 1 belongs: ${ended.stdout}${ended.stderr}`);
  return JSON.parse(ended.stdout) as CniFailure;
}

/** A request as the agent would see it. */
export interface Seen {
  readonly head: string;
  readonly body: string;
}

/** An agent in the test: a unix socket on which `answer` is asked for the bytes to send back. */
export class Agent implements AsyncDisposable {
  readonly directory: string = mkdtempSync(join(tmpdir(), "cilium-cni-"));
  readonly socketPath: string = join(this.directory, "cilium.sock");
  readonly queuePath: string = join(this.directory, "run/deleteQueue");
  readonly seen: Seen[] = [];
  /** Writes to the connection and ends it, or does not. */
  answer: (seen: Seen, socket: Socket) => void = (_, socket) => void socket.end(response("{}"));
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;

  async start(): Promise<this> {
    const server = createServer((socket) => this.#serve(socket));
    this.#server = server;
    await new Promise<void>((resolve, reject) => server.once("error", reject).listen(this.socketPath, resolve));
    return this;
  }

  /** A configuration that leads here. */
  config(more: Readonly<Record<string, unknown>> = {}): string {
    const paths = { "agent-socket": this.socketPath, "delete-queue": this.queuePath };
    return JSON.stringify({ cniVersion: "1.0.0", name: "cilium", type: "cilium-cni", ...paths, ...more });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    const server = this.#server;
    if (server !== undefined) await new Promise<void>((resolve) => server.close(() => resolve()));
    rmSync(this.directory, { recursive: true, force: true });
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("error", () => {}); // The plugin may leave in the middle.
    const chunks: Buffer[] = [];
    socket.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      const received = Buffer.concat(chunks);
      const headEnd = received.indexOf("\r\n\r\n");
      if (headEnd < 0) return;
      const head = received.subarray(0, headEnd).toString();
      const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
      const body = received.subarray(headEnd + 4);
      if (body.length < length) return;
      const seen = { head, body: body.toString() };
      this.seen.push(seen);
      this.answer(seen, socket);
    });
  }
}

export function response(body: string, status = "200 OK"): string {
  return `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

export const podVariables = {
  CNI_CONTAINERID: "c0ffee",
  CNI_NETNS: "/run/netns/web",
  CNI_IFNAME: "eth0",
  CNI_ARGS: "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web",
  CNI_PATH: "/opt/cni/bin",
} as const;
