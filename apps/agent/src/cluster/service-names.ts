import { type KubernetesObject, type ServiceFrontend, serviceFrontendsFrom } from "@cilium-ts/kubernetes";
import { formatAddress } from "@cilium-ts/net";
import type { FlowHistory } from "../flow-history.ts";

/** Which addresses and ports are those of services, for flows to name them. */
export class ServiceNames {
  readonly #flows: Pick<FlowHistory, "setService">;
  /** By namespace and name. */
  readonly #frontends = new Map<string, ReadonlyMap<string, ServiceFrontend>>();

  constructor(flows: Pick<FlowHistory, "setService">) {
    this.#flows = flows;
  }

  upsert(object: KubernetesObject): void {
    const { namespace = "", name = "" } = object.metadata;
    const key = `${namespace}/${name}`;
    const next = new Map(serviceFrontendsFrom(object).map((frontend) => [`${formatAddress(frontend.address)} ${frontend.port}`, frontend]));
    this.#forget(key, next);
    this.#frontends.set(key, next);
    for (const frontend of next.values()) this.#flows.setService(frontend, { name, namespace });
  }

  remove({ namespace = "", name }: { readonly namespace?: string; readonly name: string }): void {
    this.#forget(`${namespace}/${name}`, new Map());
    this.#frontends.delete(`${namespace}/${name}`);
  }

  #forget(key: string, next: ReadonlyMap<string, ServiceFrontend>): void {
    for (const [text, frontend] of this.#frontends.get(key) ?? []) if (!next.has(text)) this.#flows.setService(frontend, undefined);
  }
}
