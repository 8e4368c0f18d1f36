import { errorMessage } from "@cilium-ts/std";
import { Agent, type ErrorEvent, request, WebSocket } from "undici";
import type { ClusterAccess } from "../access.ts";
import { AccessToken, connectTimeoutMs, tcpKeepAliveDelayMs, tlsOptionsOf } from "../connect-options.ts";
import { listAt, recordAt, textAt } from "../fields.ts";
import { errorFromStatus, KubernetesError } from "../kubernetes-error.ts";
import { podUrl } from "./pod-url.ts";

export interface PodContainer {
  readonly namespace: string;
  readonly pod: string;
  /** The pod's only one, or its default one, when empty. */
  readonly container: string;
}

/** What became of a command. */
export interface Executed {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface LogLimits {
  readonly lines: number;
  readonly sizeBytes: number;
}

/** Of both streams together. */
const outputSizeBytesMax = 64 * 1024 * 1024;
/** Binary frames, the first byte of each being its channel; an older name than `v5`, which only adds a way to close stdin. */
const protocol = "v4.channel.k8s.io";
const channels = { stdout: 1, stderr: 2, error: 3 } as const;

/** Runs commands in pods through the API server, as `kubectl exec` does. Not part of the main entry: the agent does without undici, which only this needs. */
export class PodExec implements AsyncDisposable {
  readonly #access: ClusterAccess;
  readonly #token: AccessToken;
  readonly #agent: Agent;

  constructor(access: ClusterAccess) {
    this.#access = access;
    this.#token = new AccessToken(access);
    const connect = { timeout: connectTimeoutMs, keepAlive: true, keepAliveInitialDelay: tcpKeepAliveDelayMs, ...tlsOptionsOf(access) };
    this.#agent = new Agent({ allowH2: false, connect });
  }

  /** Rejects with KubernetesError when the command cannot be run or its end is not told, and with the signal's reason when aborted. */
  async run(target: PodContainer, command: readonly string[], signal: AbortSignal): Promise<Executed> {
    signal.throwIfAborted();
    const token = await this.#token.text();
    const socket = new WebSocket(execUrl(this.#access.server, target, command), {
      protocols: [protocol],
      dispatcher: this.#agent,
      ...(token !== undefined && { headers: { authorization: `Bearer ${token}` } }),
    });
    socket.binaryType = "arraybuffer";
    const failed = (message: string, cause?: unknown): KubernetesError => {
      const where = `${target.namespace}/${target.pod}`;
      return new KubernetesError({ message: `a command in the pod ${where}: ${message}`, status: 0, reason: "ExecFailed", cause });
    };
    const ended = Promise.withResolvers<Executed>();
    const output = new Output();
    socket.onmessage = ({ data }) => {
      if (!(data instanceof ArrayBuffer)) return;
      if (!output.take(Buffer.from(data))) ended.reject(failed(`its output is larger than ${outputSizeBytesMax} bytes`));
    };
    socket.onerror = (event: ErrorEvent) =>
      ended.reject(failed(`${this.#access.server} does not let it be run: ${reasonOf(event)}`, event.error));
    socket.onclose = ({ reason }) => {
      const executed = output.executed();
      if ("problem" in executed) ended.reject(failed(executed.problem || reason || "the connection ended before the command did"));
      else ended.resolve(executed);
    };
    const stop = (): void => ended.reject(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    try {
      return await ended.promise;
    } finally {
      signal.removeEventListener("abort", stop);
      socket.close();
    }
  }

  /** The end of a container's log. Rejects with KubernetesError when it cannot be had, and with the signal's reason when aborted. */
  async log(target: PodContainer, limits: LogLimits, signal: AbortSignal): Promise<string> {
    const { namespace, pod, container } = target;
    const url = podUrl(this.#access.server, target, "log");
    if (container !== "") url.searchParams.set("container", container);
    url.searchParams.set("tailLines", String(limits.lines));
    url.searchParams.set("limitBytes", String(limits.sizeBytes));
    const token = await this.#token.text();
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    try {
      const response = await request(url, { dispatcher: this.#agent, headers, signal });
      const text = await response.body.text();
      if (response.statusCode === 200) return text;
      throw errorFromStatus(parseStatus(text), { request: `GET ${url.pathname}`, httpStatus: response.statusCode });
    } catch (cause) {
      signal.throwIfAborted();
      if (cause instanceof KubernetesError) throw cause;
      const message = `the log of ${namespace}/${pod}: ${this.#access.server} cannot be reached: ${errorMessage(cause)}`;
      throw new KubernetesError({ message, status: 0, reason: "Unreachable", cause });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy();
  }
}

/** The two streams of a command, and the Status that tells its end. */
class Output {
  readonly #chunks: Record<number, Buffer[]> = { [channels.stdout]: [], [channels.stderr]: [], [channels.error]: [] };
  #sizeBytes = 0;

  /** False when it is too much. */
  take(frame: Buffer): boolean {
    this.#sizeBytes += frame.length;
    if (this.#sizeBytes > outputSizeBytesMax) return false;
    this.#chunks[frame[0] ?? 0]?.push(frame.subarray(1));
    return true;
  }

  executed(): Executed | { readonly problem: string } {
    const text = (channel: number): string => Buffer.concat(this.#chunks[channel] ?? []).toString("utf8");
    const status = parseStatus(text(channels.error));
    if (status === undefined) return { problem: "" };
    const exitCode = exitCodeOf(status);
    if (exitCode === undefined) return { problem: textAt(status, "message") || "it could not be run" };
    return { status: exitCode, stdout: text(channels.stdout), stderr: text(channels.stderr) };
  }
}

function parseStatus(text: string): unknown {
  try {
    return text === "" ? undefined : JSON.parse(text);
  } catch {
    return { message: text };
  }
}

/** Undefined when the command did not even begin. */
function exitCodeOf(status: unknown): number | undefined {
  if (textAt(status, "status") === "Success") return 0;
  const cause = listAt(recordAt(status, "details"), "causes").find((candidate) => textAt(candidate, "reason") === "ExitCode");
  const code = Number(textAt(cause, "message"));
  return cause === undefined || !Number.isInteger(code) ? undefined : code;
}

function execUrl(server: string, target: PodContainer, command: readonly string[]): string {
  const { container } = target;
  const url = podUrl(server, target, "exec");
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  for (const word of command) url.searchParams.append("command", word);
  if (container !== "") url.searchParams.set("container", container);
  url.searchParams.set("stdout", "true");
  url.searchParams.set("stderr", "true");
  return url.href;
}

/** The handshake's answer is not shown to us: who is refused learns no more. */
function reasonOf({ error, message }: ErrorEvent): string {
  const cause: unknown = error instanceof Error ? (error.cause ?? error) : undefined;
  const text = cause instanceof Error ? cause.message : message;
  return text === "" ? "the connection failed, or the right to pods/exec is missing" : text;
}
