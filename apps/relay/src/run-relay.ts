import { hostname } from "node:os";
import { openOwnTls, openTlsFiles, type TlsSource } from "@cilium-ts/certificates";
import { openHttpEndpoint, prometheusAnswer } from "@cilium-ts/http-endpoint";
import type { Log } from "@cilium-ts/log";
import { type GrpcTarget, parseListenAddress, tlsServerName, unixPathOf } from "@cilium-ts/observer";
import type { Clock } from "@cilium-ts/std";
import { type Relay, startRelay } from "./relay.ts";
import { metricsText } from "./relay-metrics.ts";
import type { RelaySettings } from "./settings.ts";

export interface World {
  readonly clock: Clock;
  readonly log: Log;
  readonly version: string;
  /** Called when clients can connect. */
  readonly onListening?: (relay: Relay) => void;
}

/** The relay, from its settings, until aborted; then clients are told that it goes. */
export async function runRelay(world: World, settings: RelaySettings, signal: AbortSignal): Promise<void> {
  const { clock, log, version } = world;
  await using opened = new AsyncDisposableStack();
  const clientTls = await openTls(world, settings, "client");
  if (clientTls !== undefined) opened.use(clientTls);
  const serverTls = await openTls(world, settings, "server");
  if (serverTls !== undefined) opened.use(serverTls);
  const { peerServices, listenAddress, healthListenAddress, metricsListenAddress, retryTimeoutMs, heldMax, holdMs } = settings;
  const targetOf = ({ address, clusterName }: RelaySettings["peerServices"][number]): GrpcTarget => {
    if (clientTls === undefined || unixPathOf(address) !== undefined) return { address };
    return { address, tls: { ...clientTls.current, serverName: tlsServerName(clusterName, "hubble-peer") } };
  };
  const relay = opened.use(
    await startRelay({
      clock,
      log,
      version,
      nodeName: hostname(),
      listenAddress,
      healthListenAddress,
      ...(serverTls === undefined ? {} : { serverTls }),
      peerServices: peerServices.map((service) => () => targetOf(service)),
      clientTls: () => clientTls?.current,
      retryTimeoutMs,
      heldMax,
      holdMs,
    }),
  );
  if (metricsListenAddress !== "") {
    const ends = (): number => Math.min(...[clientTls, serverTls].map((source) => source?.current.expiresMs ?? Number.POSITIVE_INFINITY));
    const { host, port } = parseListenAddress(metricsListenAddress);
    const address = { host: host === "" ? undefined : host, port };
    opened.use(await openHttpEndpoint("metrics", address, { "/metrics": () => prometheusAnswer(metricsText(relay, ends)) }));
  }
  log.info(
    `hubble-relay ${version} serves on ${listenAddress}${serverTls === undefined ? " in plain text" : " by TLS"}; nodes are told by ${peerServices.map(({ address }) => address).join(", ")}`,
  );
  world.onListening?.(relay);
  if (!signal.aborted) await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

/** The files that were named, or certificates of our own. */
async function openTls({ clock, log }: World, settings: RelaySettings, side: "client" | "server"): Promise<TlsSource | undefined> {
  const paths = side === "client" ? settings.clientTls : settings.serverTls;
  if (paths === undefined) return undefined;
  const onProblem = (message: string): void => log.error(`the relay's ${side} certificate: ${message}`);
  if (paths !== "own") return openTlsFiles({ paths, clock, onProblem });
  const names = side === "client" ? ["*.hubble-relay.cilium.io"] : ["*.hubble-relay.cilium.io", "localhost", hostname()];
  const folder = settings.tlsDirectory;
  return openOwnTls({ folder, authority: "cilium-hubble-ca", name: `relay-${side}`, use: side, names, clock, onProblem });
}
