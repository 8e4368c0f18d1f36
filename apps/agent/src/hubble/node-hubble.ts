import { type HubbleServer, startHubble } from "@cilium-ts/observer";
import { agentVersion } from "../version.ts";
import { startFlowConsumers } from "./flow-consumers.ts";
import { openHubbleTls } from "./hubble-tls.ts";
import { startNodeHistory } from "./node-history.ts";
import type { NodeHubbleOptions } from "./node-hubble-options.ts";
import { NodePeers } from "./node-peers.ts";

/** The node's Hubble server. */
export interface NodeHubble extends AsyncDisposable {
  /** Of the certificates in use, milliseconds since the epoch; undefined without TLS. */
  readonly certificateExpiresMs: number | undefined;
}

/** Serves on the unix socket, and on TCP where an address was given: by mutual TLS unless that was turned off. */
export async function startNodeHubble(given: NodeHubbleOptions): Promise<NodeHubble> {
  await using opened = new AsyncDisposableStack();
  const { node, options, clock, log } = given;
  const { hubble, clusterName, nodeName } = options;
  const tls =
    hubble.listenAddress === "" || hubble.disableTls
      ? undefined
      : opened.use(
          await openHubbleTls({
            files: hubble,
            directory: hubble.tlsDirectory,
            name: "server",
            clusterName,
            clock,
            onProblem: (message) => log.error(`Hubble's certificates: ${message}`),
          }),
        );
  const peers = new NodePeers({
    clusterName,
    localName: nodeName,
    listenAddress: hubble.listenAddress,
    socketPath: options.hubbleSocketPath,
    usesTls: tls !== undefined,
    underlay: () => node.hostAddresses.underlay(),
    remoteNodes: () => node.remoteNodes.nodes(),
  });
  opened.defer(node.remoteNodes.watch(() => peers.changed()));
  opened.defer(node.hostAddresses.watch(() => peers.changed()));
  const parts = { ring: node.ring, context: node.flows.context };
  const history =
    hubble.history === undefined ? undefined : opened.use(startNodeHistory({ settings: hubble.history, ...parts, clock, log }));
  const tcp = hubble.listenAddress === "" ? {} : { tcp: { address: hubble.listenAddress, ...(tls === undefined ? {} : { tls }) } };
  const server: HubbleServer = opened.use(
    await startHubble({
      socketPath: options.hubbleSocketPath,
      ...tcp,
      peers,
      ...parts,
      ...(history === undefined ? {} : { history: history.store, traffic: history.store.traffic }),
      agentEvents: node.agentEvents.ring,
      version: agentVersion,
    }),
  );
  if (server.tcpAddress !== undefined)
    log.info(`Hubble serves on ${hubble.listenAddress}${tls === undefined ? " in plain text" : " by mutual TLS"}`);
  opened.use(await startFlowConsumers(given, () => tls?.current.expiresMs, history?.store));
  const held = opened.move();
  return {
    get certificateExpiresMs() {
      return tls?.current.expiresMs;
    },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}
