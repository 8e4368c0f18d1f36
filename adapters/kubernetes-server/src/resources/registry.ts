import { apiVersionOf, type Resource } from "./resource.ts";

/** The kinds that are served now. Definitions come and go at run time. */
export class Registry {
  readonly #resources = new Map<string, Resource>();
  #generation = 0;

  constructor(resources: Iterable<Resource>) {
    for (const resource of resources) this.#resources.set(key(apiVersionOf(resource), resource.plural), resource);
  }

  /** Grows with every change, so that documents made from the registry can be kept until then. */
  get generation(): number {
    return this.#generation;
  }

  find(apiVersion: string, plural: string): Resource | undefined {
    return this.#resources.get(key(apiVersion, plural));
  }

  all(): readonly Resource[] {
    return [...this.#resources.values()];
  }

  /** Replaces every version of the kind; an empty list takes it away. */
  replace(group: string, plural: string, resources: readonly Resource[]): void {
    for (const [name, resource] of this.#resources)
      if (resource.group === group && resource.plural === plural) this.#resources.delete(name);
    for (const resource of resources) this.#resources.set(key(apiVersionOf(resource), resource.plural), resource);
    this.#generation += 1;
  }
}

function key(apiVersion: string, plural: string): string {
  return `${apiVersion}/${plural}`;
}
