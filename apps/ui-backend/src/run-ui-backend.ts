import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { openTlsFiles, type TlsSource } from "@cilium-ts/certificates";
import {
  type AskingClient,
  type KubernetesClient,
  loadInClusterAccess,
  loadKubeconfig,
  openKubernetes,
  policyKinds,
} from "@cilium-ts/kubernetes";
import { createObjectChecker, kindSchemas, readCiliumDefinitions, readPolicyApiDefinitions } from "@cilium-ts/kubernetes-server/check";
import type { Log } from "@cilium-ts/log";
import { Metrics } from "@cilium-ts/metrics";
import type { GrpcTarget } from "@cilium-ts/observer";
import type { PolicyOf } from "@cilium-ts/service-map";
import { type Clock, errorMessage, TaskGroup } from "@cilium-ts/std";
import { ChangeRoutes } from "./changes/change-routes.ts";
import { changesManager, PolicyChanges } from "./changes/policy-changes.ts";
import { FlowSource } from "./hubble/flow-source.ts";
import { PolicyDesk } from "./policies/policy-desk.ts";
import { PolicyRoutes } from "./policies/policy-routes.ts";
import { PolicyStates } from "./policies/policy-states.ts";
import { HttpServer } from "./serve/http-server.ts";
import { StaticFiles } from "./serve/static-files.ts";
import type { ViewStreams } from "./serve/view-stream.ts";
import type { OidcSettings, Settings } from "./settings.ts";
import { OidcProvider } from "./sign-in/oidc-provider.ts";
import { OidcSignIn } from "./sign-in/oidc-sign-in.ts";
import { CookieJar, sealingKey } from "./sign-in/session-cookie.ts";
import { type NamespaceRights, openToAll, parseNamespaceRights, type SignIn, trustHeaders } from "./sign-in/sign-in.ts";
import { Views } from "./views/views.ts";

export interface World {
  readonly clock: Clock;
  readonly log: Log;
  readonly version: string;
  /** Called with the port when browsers can connect. */
  readonly onListening?: (port: number) => void;
}

/** Hubble UI's backend, from its settings, until aborted. */
export async function runUiBackend(world: World, settings: Settings, signal: AbortSignal): Promise<void> {
  const { clock, log, version } = world;
  await using opened = new AsyncDisposableStack();
  const files = settings.staticFolder === undefined ? undefined : new StaticFiles(settings.staticFolder);
  const signIn = openSignIn(world, settings);
  const tls = settings.tls === undefined ? undefined : opened.use(await openTls(world, settings.tls));
  const target = (): GrpcTarget => {
    if (tls === undefined) return { address: settings.hubbleAddress };
    const serverName = settings.tls?.serverName;
    return { address: settings.hubbleAddress, tls: { ...tls.current, ...(serverName === undefined ? {} : { serverName }) } };
  };
  const source = new FlowSource({ clock, target, lastCount: settings.lastCount, log });
  const cluster = await openCluster(world, settings, opened);
  const client = cluster?.client;
  const { ciliumNamespace, changesAs, publicUrl } = settings;
  const states: PolicyStates | undefined =
    client && new PolicyStates({ clock, client, ciliumNamespace, log, onChange: () => views.updatePolicies() });
  const policyOf: PolicyOf = (service) => states?.stateOf(service) ?? null;
  const isGone = (namespace: string): boolean => states?.isGone(namespace) ?? false;
  const views = opened.use(new Views({ clock, source, build: version, epoch: randomBytes(6).toString("hex"), policyOf, isGone }));
  const desk = client && createDesk(world, settings, views, client);
  const changes = cluster && new PolicyChanges({ clock, log, ...cluster });
  const server = opened.use(
    await HttpServer.start({
      clock,
      host: settings.host,
      port: settings.port,
      basePath: settings.basePath,
      source,
      views,
      signIn,
      policies: new PolicyRoutes({ clock, desk, source }),
      changes: new ChangeRoutes({ changesAs, changes, publicUrl }),
      files,
      allowsOtherOrigins: settings.allowsOtherOrigins,
      metrics: (streams, refused) => metricsOf(source, views, streams, refused),
    }),
  );
  const tasks = opened.use(new TaskGroup(signal));
  tasks.run("flows", (stop) => source.run(stop));
  if (states !== undefined) tasks.run("policy states", (stop) => states.run(stop));
  log.info(
    `hubble-ui-backend ${version} serves ${files === undefined ? "without the page " : ""}on port ${server.port}; flows come from ${settings.hubbleAddress}`,
  );
  world.onListening?.(server.port);
  await tasks.join();
}

interface Cluster {
  readonly client: AskingClient;
  readonly userClient: AskingClient;
}

/** Undefined where no cluster is known: the page then shows flows alone. */
async function openCluster(
  { log }: World,
  { kubeconfigPath, inCluster, changesAs }: Settings,
  opened: AsyncDisposableStack,
): Promise<Cluster | undefined> {
  const access = kubeconfigPath === "" ? await loadInClusterAccess(inCluster) : await loadKubeconfig(kubeconfigPath);
  if (access === undefined) {
    log.info("policies are not shown: no cluster is known (UI_KUBECONFIG)");
    return undefined;
  }
  const names = { fieldManager: changesManager, userAgent: "hubble-ui-backend" };
  const client = opened.use(await openKubernetes({ ...access, ...names }));
  if (changesAs !== "token") return { client, userClient: client };
  // A user's own token counts only where nothing of ours is shown beside it.
  const { cert: _cert, key: _key, token: _token, tokenPath: _tokenPath, ...server } = access;
  return { client, userClient: opened.use(await openKubernetes({ ...server, ...names })) };
}

function createDesk({ clock }: World, { ciliumNamespace }: Settings, { hits }: Views, client: KubernetesClient): PolicyDesk {
  const definitions = [...readCiliumDefinitions(), ...readPolicyApiDefinitions()];
  const schemas = kindSchemas(definitions, ["CiliumCIDRGroup", ...policyKinds.map(({ resource }) => resource.kind)]);
  return new PolicyDesk({ clock, client, hits, checkObject: createObjectChecker(definitions), schemas, ciliumNamespace });
}

function openSignIn(world: World, settings: Settings): SignIn {
  const { trustedHeaders, oidc, accessPath, publicUrl } = settings;
  if (trustedHeaders === undefined && oidc === undefined) return openToAll;
  let rights: NamespaceRights;
  try {
    rights = parseNamespaceRights(readFileSync(accessPath, "utf8"));
  } catch (cause) {
    throw new Error(`${accessPath} does not say who sees what: ${errorMessage(cause)}`, { cause });
  }
  if (trustedHeaders !== undefined) return trustHeaders(trustedHeaders, rights);
  if (oidc === undefined || publicUrl === undefined) throw new Error("UI_OIDC_ISSUER needs UI_PUBLIC_URL");
  return openOidc(world, oidc, { rights, publicUrl, keepsToken: settings.changesAs === "token" });
}

const sessionKeyBytesMin = 32;

function openOidc(
  { clock, log }: World,
  { issuer, clientId, clientSecretPath, scopes, claims, sessionKeyPath, sessionHours }: OidcSettings,
  { rights, publicUrl, keepsToken }: { readonly rights: NamespaceRights; readonly publicUrl: URL; readonly keepsToken: boolean },
): SignIn {
  const clientSecret = clientSecretPath === undefined ? undefined : readSecret(clientSecretPath).toString("utf8").trim();
  const secret = sessionKeyPath === undefined ? randomBytes(sessionKeyBytesMin) : readSecret(sessionKeyPath);
  if (secret.length < sessionKeyBytesMin)
    throw new Error(`${sessionKeyPath} has fewer than ${sessionKeyBytesMin} bytes: it could be guessed`);
  const redirectUrl = new URL("auth/callback", publicUrl);
  const provider = new OidcProvider({ issuer, clientId, clientSecret, scopes, redirectUrl });
  const jar = new CookieJar({ clock, key: sealingKey(secret), publicUrl });
  return new OidcSignIn({ clock, log, provider, jar, claims, rights, publicUrl, sessionHours, keepsToken });
}

function readSecret(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new Error(`${path} cannot be read: ${errorMessage(cause)}`, { cause });
  }
}

async function openTls({ clock, log }: World, settings: NonNullable<Settings["tls"]>): Promise<TlsSource> {
  const { certificatePath, keyPath, authorityPaths } = settings;
  const pair = certificatePath === undefined || keyPath === undefined ? {} : { certificatePath, keyPath };
  return openTlsFiles({ paths: { ...pair, authorityPaths }, clock, onProblem: (problem) => log.error(`TLS to Hubble: ${problem}`) });
}

function metricsOf(source: FlowSource, views: Views, streams: ViewStreams, refused: number): Metrics {
  const metrics = new Metrics();
  const { connection, lostEvents, connectedNodes, unavailableNodes } = source.state;
  metrics.gauge("hubble_ui_connected", "Whether flows come from Hubble").set(connection === "connected" ? 1 : 0);
  metrics.counter("hubble_ui_flows_total", "Flows read from Hubble").increase({}, source.readCount);
  metrics.counter("hubble_ui_lost_events_total", "Events that Hubble says were lost").increase({}, lostEvents);
  const nodes = metrics.gauge("hubble_ui_nodes", "Nodes, by whether Hubble reaches them");
  nodes.set(connectedNodes, { status: "connected" });
  nodes.set(unavailableNodes.length, { status: "unavailable" });
  metrics.gauge("hubble_ui_browsers", "Browsers that are being pushed to").set(streams.count);
  metrics.counter("hubble_ui_sent_bytes_total", "Bytes pushed to browsers").increase({}, streams.bytesSent);
  const turnedAway = metrics.counter("hubble_ui_turned_away_total", "What found no room, by what it was");
  turnedAway.increase({ what: "browser" }, refused);
  turnedAway.increase({ what: "stalled-browser" }, streams.stalled);
  turnedAway.increase({ what: "view" }, views.refused);
  const { services, links, evictedLinks } = views.totals;
  turnedAway.increase({ what: "link" }, evictedLinks);
  metrics.gauge("hubble_ui_views", "Different questions that are being answered").set(views.count);
  metrics.gauge("hubble_ui_services", "Services in all views").set(services);
  metrics.gauge("hubble_ui_links", "Links in all views").set(links);
  return metrics;
}
