import type { ServiceSlice } from "@cilium-ts/kubernetes";
import type { PolicyService } from "@cilium-ts/policy";

export interface PolicyServicesOptions {
  upsert(service: PolicyService): void;
  remove(namespace: string, name: string): void;
}

interface Row {
  service: PolicyService | undefined;
  /** By name. Only of services that select no endpoints. */
  readonly slices: Map<string, readonly string[]>;
}

/** Services as rules mean them: those that select endpoints by their selector, the others by the addresses of all their slices. */
export class PolicyServices {
  readonly #options: PolicyServicesOptions;
  readonly #rows = new Map<string, Row>();
  /** Which service a slice is of, by the slice's namespace and name. */
  readonly #serviceOfSlice = new Map<string, string>();

  constructor(options: PolicyServicesOptions) {
    this.#options = options;
  }

  upsertService(service: PolicyService): void {
    const row = this.#row(service.namespace, service.name);
    row.service = service;
    this.#tell(row);
  }

  removeService(namespace: string, name: string): void {
    const row = this.#row(namespace, name);
    row.service = undefined;
    this.#options.remove(namespace, name);
    this.#drop(namespace, name, row);
  }

  upsertSlice({ namespace, name, service, addresses }: ServiceSlice): void {
    if (this.#serviceOfSlice.get(`${namespace}/${name}`) !== service) this.removeSlice(namespace, name);
    if (service === "") return;
    this.#serviceOfSlice.set(`${namespace}/${name}`, service);
    const row = this.#row(namespace, service);
    row.slices.set(name, addresses);
    this.#tell(row);
  }

  removeSlice(namespace: string, name: string): void {
    const service = this.#serviceOfSlice.get(`${namespace}/${name}`);
    if (service === undefined) return;
    this.#serviceOfSlice.delete(`${namespace}/${name}`);
    const row = this.#row(namespace, service);
    row.slices.delete(name);
    this.#tell(row);
    this.#drop(namespace, service, row);
  }

  #tell({ service, slices }: Row): void {
    if (service === undefined) return;
    if (service.selector !== undefined) this.#options.upsert(service);
    else this.#options.upsert({ ...service, addresses: [...new Set([...slices.values()].flat())] });
  }

  #row(namespace: string, name: string): Row {
    const key = `${namespace}/${name}`;
    let row = this.#rows.get(key);
    if (row === undefined) {
      row = { service: undefined, slices: new Map() };
      this.#rows.set(key, row);
    }
    return row;
  }

  #drop(namespace: string, name: string, row: Row): void {
    if (row.service === undefined && row.slices.size === 0) this.#rows.delete(`${namespace}/${name}`);
  }
}
