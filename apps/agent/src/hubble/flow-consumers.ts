import type { TlsSource } from "@cilium-ts/certificates";
import { EndpointResolver, nodeNameOf } from "@cilium-ts/flow";
import type { FlowStore } from "@cilium-ts/flow-store";
import { eventObject, type KubernetesClient, resources } from "@cilium-ts/kubernetes";
import { type FlowConsumer, followFlows } from "@cilium-ts/observer";
import { TaskGroup } from "@cilium-ts/std";
import { agentVersion } from "../version.ts";
import { type DropEvent, DropEvents } from "./drop-events.ts";
import { type HubbleTlsFiles, openHubbleTls } from "./hubble-tls.ts";
import { NodeExporters } from "./node-exporters.ts";
import { measureHistory } from "./node-history.ts";
import type { NodeHubbleOptions } from "./node-hubble-options.ts";
import { NodeMetrics } from "./node-metrics.ts";
import { followFile } from "./watched-file.ts";

const sweepMs = 5_000;

/** Whoever takes every flow of the node within the agent: metrics, exporters, Kubernetes events. Where there is none, no flow is decoded. */
export async function startFlowConsumers(
  given: NodeHubbleOptions,
  certificateExpiresMs: () => number | undefined,
  history: FlowStore | undefined,
): Promise<AsyncDisposable> {
  const { node, options, clock, log } = given;
  const { metrics: wanted, exporters: fixed, flowLogsPath } = options.hubble;
  await using opened = new AsyncDisposableStack();
  const onProblem = (message: string): void => log.error(message);
  const nodeName = nodeNameOf(node.flows.context);
  const exporters = opened.use(
    new NodeExporters({ fixed, emitter: { name: "Hubble", version: agentVersion }, nodeName, clock, onProblem }),
  );
  const metrics = new NodeMetrics(wanted);
  const dropEvents = createDropEvents(given);
  metrics.beforeRead(exporters.measure(metrics.registry));
  measureCertificates(metrics, certificateExpiresMs);
  if (history !== undefined) metrics.beforeRead(measureHistory(history, metrics.registry));
  node.flows.watchPodsGone((namespace, podName) => metrics.podGone(namespace, podName, clock.nowMs()));
  const tls = wanted.tls === undefined ? undefined : opened.use(await openMetricsTls(given, wanted.tls));
  if (wanted.address !== undefined) opened.use(await metrics.serve({ ...wanted, address: wanted.address }, tls));
  const consumers = (): FlowConsumer[] => [
    ...(metrics.isActive ? [metrics] : []),
    ...exporters.exporters.active(),
    ...(dropEvents === undefined ? [] : [dropEvents]),
  ];
  const tasks = opened.use(new TaskGroup(new AbortController().signal));
  if (wanted.dynamicPath !== "") {
    const take = (text: string): readonly string[] => metrics.configure(text);
    tasks.run("follow the settings of metrics", (signal) => followFile({ path: wanted.dynamicPath, clock, take, onProblem }, signal));
  }
  if (flowLogsPath !== "") {
    const take = (text: string): readonly string[] => exporters.configure(text);
    tasks.run("follow the settings of exporters", (signal) => followFile({ path: flowLogsPath, clock, take, onProblem }, signal));
  }
  if (wanted.dynamicPath !== "" || flowLogsPath !== "" || consumers().length > 0) {
    const resolver = new EndpointResolver(node.flows.context);
    const nowNs = (): number => Number(process.hrtime.bigint());
    tasks.run("show flows", (signal) => followFlows({ ring: node.ring, resolver, nowNs, consumers }, signal));
    tasks.run("forget pods that have gone", async (signal) => {
      const isThere = (namespace: string, podName: string): boolean => node.endpoints.index.byPod(namespace, podName).length > 0;
      while (!signal.aborted) {
        metrics.removeGone(clock.nowMs(), isThere);
        await clock.sleep(sweepMs, signal).catch(() => {}); // Rejects only on abort.
      }
    });
  }
  const held = opened.move();
  return { [Symbol.asyncDispose]: () => held.disposeAsync() };
}

function openMetricsTls({ options, clock, log }: NodeHubbleOptions, files: HubbleTlsFiles): Promise<TlsSource> {
  return openHubbleTls({
    files,
    directory: options.hubble.tlsDirectory,
    name: "metrics",
    clusterName: options.clusterName,
    clock,
    onProblem: (message) => log.error(`the certificates of Hubble's metrics: ${message}`),
  });
}

function measureCertificates(metrics: NodeMetrics, expiresMs: () => number | undefined): void {
  if (expiresMs() === undefined) return;
  const expiry = metrics.registry.gauge("hubble_tls_certificate_expiry_timestamp_seconds", "When the first certificate in use ends");
  metrics.beforeRead(() => expiry.set((expiresMs() ?? 0) / 1_000));
}

function createDropEvents({ node, options, client, clock, log }: NodeHubbleOptions): DropEvents | undefined {
  const { dropEvents } = options.hubble;
  if (dropEvents === undefined) return undefined;
  return new DropEvents({
    ...dropEvents,
    clock,
    uidOf: (namespace, podName) => node.endpoints.index.byPod(namespace, podName)[0]?.podUid ?? "",
    write: (event) => writeEvent(client, options.nodeName, event, clock.nowMs()),
    onProblem: (message) => log.warn(message),
  });
}

const writeTimeoutMs = 10_000;

async function writeEvent(client: KubernetesClient, nodeName: string, event: DropEvent, nowMs: number): Promise<void> {
  const { namespace, podName, podUid, message } = event;
  const body = eventObject({
    name: `${podName}.${process.hrtime.bigint().toString(16)}`,
    about: { resource: resources.pods, namespace, name: podName, uid: podUid },
    type: "Warning",
    reason: "PacketDrop",
    message,
    component: "cilium",
    instance: nodeName,
    nowMs,
  });
  await client.create(resources.events, body, { signal: AbortSignal.timeout(writeTimeoutMs) });
}
