import type { EndpointRow } from "@cilium-ts/endpoint";
import { type HttpEndpoint, openHttpEndpoint } from "@cilium-ts/http-endpoint";
import type { Kernel, NetworkNamespace } from "@cilium-ts/kernel";
import type { Endpoints } from "../endpoints/endpoints.ts";
import { helloRoutes } from "./responder.ts";

export interface HealthEndpointOptions {
  readonly kernel: Pick<Kernel, "createNamespace" | "openSocket">;
  readonly endpoints: Pick<Endpoints, "addHealth" | "complaint" | "remove" | "index">;
  readonly port: number;
  /** It answers at these addresses from now on; undefined: there is none. */
  onAddresses(addresses: { ipv4: string; ipv6: string } | undefined): void;
}

/**
 * An endpoint like any pod's, but with the identity `health` and us inside of it: whoever reaches it has reached this node's pods. Its
 * namespace has no name and ends with this process, so there is nothing that a crash could leave.
 */
export class HealthEndpoint implements AsyncDisposable {
  readonly #options: HealthEndpointOptions;
  #current: { readonly row: EndpointRow; readonly namespace: NetworkNamespace; readonly servers: readonly HttpEndpoint[] } | undefined;

  constructor(options: HealthEndpointOptions) {
    this.#options = options;
  }

  /** Makes it where it is not, or not as it should be. */
  async ensure(): Promise<void> {
    const { endpoints, kernel } = this.#options;
    const row = this.#current === undefined ? undefined : endpoints.index.byId(this.#current.row.id);
    if (row !== undefined && (await endpoints.complaint(row)) === undefined) return;
    await this[Symbol.asyncDispose]();
    await using undo = new AsyncDisposableStack();
    const namespace = undo.use(kernel.createNamespace());
    const made = await endpoints.addHealth(namespace.path);
    undo.defer(() => endpoints.remove(made));
    const servers = [undo.use(await this.#serve(namespace, "ipv4", "0.0.0.0")), undo.use(await this.#serve(namespace, "ipv6", "::"))];
    undo.move();
    this.#current = { row: made, namespace, servers };
    this.#options.onAddresses({ ipv4: made.ipv4 ?? "", ipv6: made.ipv6 ?? "" });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const current = this.#current;
    if (current === undefined) return;
    this.#current = undefined;
    this.#options.onAddresses(undefined);
    for (const server of current.servers) await server[Symbol.asyncDispose]();
    await this.#options.endpoints.remove(current.row);
    current.namespace[Symbol.dispose]();
  }

  #serve(namespace: NetworkNamespace, family: "ipv4" | "ipv6", address: string): Promise<HttpEndpoint> {
    const { kernel, port } = this.#options;
    const bind = { address, port };
    const descriptor = kernel.openSocket({ namespacePath: namespace.path, family, type: "stream", bind, listen: 64 });
    return openHttpEndpoint("health endpoint", { descriptor }, helloRoutes);
  }
}
