import { connect } from "node:net";
import { UsageError } from "@cilium-ts/command-line";
import { unixPathOf } from "@cilium-ts/observer";

export const serverDefault = "unix:///var/run/cilium/hubble.sock";

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "there is no such socket",
  ECONNREFUSED: "nobody listens there",
  EACCES: "permission denied: the socket is for root",
  ENOTFOUND: "the host name is not known",
};

/** Connects once, so that a server that is not there is told apart from one that answers badly. */
export async function checkReachable(address: string, timeoutMs: number): Promise<void> {
  const path = unixPathOf(address);
  const target = path === undefined ? parseHostPort(address) : { path };
  const socket = connect(target);
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const timer = setTimeout(() => resolve(`no answer within ${timeoutMs / 1000} s`), timeoutMs);
  socket.once("connect", () => resolve(undefined));
  socket.once("error", (error: NodeJS.ErrnoException) => resolve(reasons[error.code ?? ""] ?? error.message));
  const reason = await promise;
  clearTimeout(timer);
  socket.destroy();
  if (reason === undefined) return;
  throw new UsageError(
    `cannot reach the Hubble server at ${address}: ${reason}. Is the agent running? Name another server with --server or HUBBLE_SERVER`,
  );
}

function parseHostPort(address: string): { host: string; port: number } {
  const match = /^(?:dns:\/\/\/|tcp:\/\/|tls:\/\/|http:\/\/)?(\[[^\]]+\]|[^:/]+):([0-9]{1,5})$/.exec(address);
  const port = Number(match?.[2]);
  if (match === null || port > 65_535) throw new UsageError(`server ${JSON.stringify(address)} is neither unix:///path nor host:port`);
  return { host: (match[1] ?? "").replace(/^\[|\]$/g, ""), port };
}
