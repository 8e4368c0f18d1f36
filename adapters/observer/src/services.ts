import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import { type EventServicesOptions, eventServices } from "./events/event-services.ts";
import { Namespaces } from "./flows/namespaces.ts";
import { Health, HealthCheckResponse_ServingStatus as ServingStatus } from "./gen/grpc/health/v1/health_pb.js";
import { Observer } from "./gen/observer/observer_pb.js";

/** The names under which a client may ask for health. The second is Hubble's own, and not that of the service. */
const healthNames = new Set(["", "hubble.server.Observer"]);

const glanceMs = 5_000;

/** Everything but GetFlows: what is called rarely. GetNodes is the relay's, and answered as unimplemented. */
export function registerServices(router: ConnectRouter, options: EventServicesOptions & { readonly version: string }): void {
  const { ring, nowNs, version, signal } = options;
  const startedNs = nowNs();
  const namespaces = new Namespaces(ring, options.resolver);
  const glances = setInterval(() => namespaces.glance(), glanceMs).unref();
  signal.addEventListener("abort", () => clearInterval(glances), { once: true });
  router.service(Observer, {
    serverStatus: () => ({
      numFlows: BigInt(ring.size),
      maxFlows: BigInt(ring.capacity),
      seenFlows: BigInt(ring.seen),
      uptimeNs: BigInt(Math.max(0, Math.round(nowNs() - startedNs))),
      version,
      flowsRate: ring.ratePerSecond(nowNs()),
    }),
    getNamespaces: () => ({ namespaces: namespaces.list(nowNs()) }),
    ...eventServices(options),
  });
  router.service(Health, {
    check: ({ service }) => {
      if (!healthNames.has(service)) throw new ConnectError(`no service ${JSON.stringify(service)} here`, Code.NotFound);
      return { status: ServingStatus.SERVING };
    },
    async *watch({ service }, context) {
      yield { status: healthNames.has(service) ? ServingStatus.SERVING : ServingStatus.SERVICE_UNKNOWN };
      await aborted([context.signal, signal]);
    },
  });
}

async function aborted(signals: readonly AbortSignal[]): Promise<void> {
  const any = AbortSignal.any([...signals]);
  if (any.aborted) return;
  await new Promise<void>((resolve) => any.addEventListener("abort", () => resolve(), { once: true }));
}
