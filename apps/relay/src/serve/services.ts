import { healthpb, observerpb, relaypb } from "@cilium-ts/observer";
import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import type { PeerPool } from "../peers/peer-pool.ts";
import { askAll, type ServicesOptions } from "./ask-all.ts";
import { registerTraffic } from "./traffic.ts";

const unavailableNamesMax = 10;
/** The second is Hubble's own, and not that of the service. */
const healthNames = new Set(["", "hubble.server.Observer"]);

/** Everything but the streams. */
export function registerServices(router: ConnectRouter, options: ServicesOptions, serverSignal: AbortSignal): void {
  router.service(observerpb.Observer, {
    serverStatus: (_request, { signal }) => serverStatus(options, signal),
    getNodes: (_request, { signal }) => getNodes(options, signal),
    getNamespaces: (_request, { signal }) => getNamespaces(options, signal),
  });
  registerTraffic(router, options);
  registerHealth(router, options.pool, serverSignal);
}

/** For probes too, which ask on a port of their own. */
export function registerHealth(router: ConnectRouter, pool: PeerPool, serverSignal: AbortSignal): void {
  const { SERVING, NOT_SERVING, SERVICE_UNKNOWN } = healthpb.HealthCheckResponse_ServingStatus;
  const status = () => (pool.serviceConnected && pool.peers().some(({ connection }) => connection !== undefined) ? SERVING : NOT_SERVING);
  router.service(healthpb.Health, {
    check: ({ service }) => {
      if (!healthNames.has(service)) throw new ConnectError(`no service ${JSON.stringify(service)} here`, Code.NotFound);
      return { status: status() };
    },
    async *watch({ service }, context) {
      const signal = AbortSignal.any([context.signal, serverSignal]);
      let changed = Promise.withResolvers<void>();
      const wake = (): void => changed.resolve();
      const leave = pool.watch(wake);
      signal.addEventListener("abort", wake, { once: true });
      try {
        for (let told: number | undefined; !signal.aborted; ) {
          changed = Promise.withResolvers();
          const now = healthNames.has(service) ? status() : SERVICE_UNKNOWN;
          if (now !== told) yield { status: now };
          told = now;
          await changed.promise;
        }
      } finally {
        leave();
        signal.removeEventListener("abort", wake);
      }
    },
  });
}

const statusPath = "/observer.Observer/ServerStatus";

async function serverStatus(options: ServicesOptions, signal: AbortSignal) {
  const answers = await askAll(options, statusPath, observerpb.ServerStatusResponseSchema, signal);
  const messages = answers.flatMap((answer) => (answer.kind === "answer" ? [answer.message] : []));
  const unavailable = answers.filter(({ kind }) => kind !== "answer").map(({ peer }) => peer.name);
  const sum = (value: (message: observerpb.ServerStatusResponse) => bigint): bigint =>
    messages.reduce((total, message) => total + value(message), 0n);
  return {
    numFlows: sum(({ numFlows }) => numFlows),
    maxFlows: sum(({ maxFlows }) => maxFlows),
    seenFlows: sum(({ seenFlows }) => seenFlows),
    uptimeNs: messages.map(({ uptimeNs }) => uptimeNs).reduce(later, 0n),
    flowsRate: messages.reduce((total, { flowsRate }) => total + flowsRate, 0),
    numConnectedNodes: messages.length,
    numUnavailableNodes: unavailable.length,
    unavailableNodes: unavailable.sort().slice(0, unavailableNamesMax),
    version: options.version,
  };
}

async function getNodes(options: ServicesOptions, signal: AbortSignal) {
  const answers = await askAll(options, statusPath, observerpb.ServerStatusResponseSchema, signal);
  const { NODE_CONNECTED, NODE_UNAVAILABLE, NODE_ERROR } = relaypb.NodeState;
  const nodes = answers.map((answer) => {
    const { name, address, tlsServerName } = answer.peer.target;
    const tls = { enabled: tlsServerName !== undefined, serverName: tlsServerName ?? "" };
    if (answer.kind !== "answer") return { name, address, tls, state: answer.kind === "failure" ? NODE_ERROR : NODE_UNAVAILABLE };
    const { version, uptimeNs, numFlows, maxFlows, seenFlows } = answer.message;
    return { name, address, tls, state: NODE_CONNECTED, version, uptimeNs, numFlows, maxFlows, seenFlows };
  });
  return { nodes: nodes.sort((one, other) => compare(one.name, other.name)) };
}

async function getNamespaces(options: ServicesOptions, signal: AbortSignal) {
  const answers = await askAll(options, "/observer.Observer/GetNamespaces", observerpb.GetNamespacesResponseSchema, signal);
  const union = new Map<string, { cluster: string; namespace: string }>();
  for (const answer of answers) {
    if (answer.kind !== "answer") continue;
    for (const { cluster, namespace } of answer.message.namespaces) union.set(`${cluster}/${namespace}`, { cluster, namespace });
  }
  return {
    namespaces: [...union.values()].sort((one, other) => compare(one.cluster, other.cluster) || compare(one.namespace, other.namespace)),
  };
}

function later(one: bigint, other: bigint): bigint {
  return one < other ? other : one;
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
