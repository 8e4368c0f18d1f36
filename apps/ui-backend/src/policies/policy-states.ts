import {
  auditAnnotation,
  type KubernetesClient,
  KubernetesError,
  namespaceFrom,
  policyKey,
  policyKinds,
  type ReflectOptions,
  type Resource,
  recordAt,
  reflect,
  resources,
  textMapAt,
  textsAt,
} from "@cilium-ts/kubernetes";
import { Labels } from "@cilium-ts/labels";
import type { Log } from "@cilium-ts/log";
import type { PolicyMode, Rule } from "@cilium-ts/policy";
import { type Enforcement, enforcementOf } from "@cilium-ts/policy-advice";
import type { PolicyState, Service, ServicePolicy } from "@cilium-ts/service-map";
import { type Clock, errorMessage, TaskGroup } from "@cilium-ts/std";

export interface PolicyStatesOptions {
  readonly clock: Clock;
  readonly client: KubernetesClient;
  /** Where Cilium's settings are. */
  readonly ciliumNamespace: string;
  readonly log: Pick<Log, "warn">;
  /** Some answer of `stateOf` may be another now. At most some times a second. */
  onChange(): void;
}

interface Settings {
  readonly clusterName: string;
  readonly mode: PolicyMode;
  readonly auditsEverywhere: boolean;
}

/** What an agent says of one pod. */
interface Endpoint {
  readonly identity: number;
  readonly ingress: boolean;
  readonly egress: boolean;
}

/** The pods of an identity: how many, and at how many of them policy is enforced. */
interface Realised {
  readonly labels: Labels;
  pods: number;
  ingress: number;
  egress: number;
}

type Handlers = Pick<ReflectOptions, "onUpsert" | "onDelete" | "namespace" | "selector">;

const defaultSettings: Settings = { clusterName: "default", mode: "default", auditsEverywhere: false };
/** Changes that come together are told together. */
const tellDelayMs = 200;

/**
 * What policies mean for each workload: whether one is enforced is what the agents say of its pods (CiliumEndpoints), and where they say nothing what the
 * policies themselves say; that it is only audited stands in policies, in namespaces and in Cilium's settings.
 */
export class PolicyStates {
  readonly #options: PolicyStatesOptions;
  readonly #endpoints = new Map<string, Endpoint>();
  readonly #identities = new Map<number, Realised>();
  /** Of policies, by namespace, and by their keys within; the empty one has those of the whole cluster. */
  readonly #rules = new Map<string, Map<string, readonly Rule[]>>();
  /** All that there are, and whether policy is only audited there, where they say. */
  readonly #namespaces = new Map<string, boolean | undefined>();
  readonly #known = new Map<number, ServicePolicy>();
  /** What has not been listed yet. */
  readonly #waiting: Set<string>;
  readonly #failures = new Set<string>();
  #settings = defaultSettings;
  #news = Promise.withResolvers<void>();

  constructor(options: PolicyStatesOptions) {
    this.#options = options;
    this.#waiting = new Set(this.#watched().map(([name]) => name));
  }

  /** Null for what is no workload of this cluster, and until the cluster is known. */
  stateOf({ kind, identity, cluster, namespace, labels }: Service): ServicePolicy | null {
    if (kind !== "workload" || this.#waiting.size > 0 || (cluster !== "" && cluster !== this.#settings.clusterName)) return null;
    let known = this.#known.get(identity);
    if (known === undefined) {
      const realised = this.#identities.get(identity);
      if (realised === undefined && labels.length === 0) return null;
      known = this.#judge(namespace, realised?.labels ?? Labels.parse([...labels]), realised);
      this.#known.set(identity, known);
    }
    return known;
  }

  /** Whether the cluster has no such namespace; false until that is known. */
  isGone(namespace: string): boolean {
    return !this.#waiting.has("namespaces") && this.#namespaces.size > 0 && !this.#namespaces.has(namespace);
  }

  async run(signal: AbortSignal): Promise<void> {
    await using tasks = new TaskGroup(signal);
    for (const [name, resource, handlers] of this.#watched()) tasks.run(name, (stop) => this.#reflect(name, resource, handlers, stop));
    tasks.run("tell", (stop) => this.#tell(stop));
    await tasks.join();
  }

  async #tell(signal: AbortSignal): Promise<void> {
    signal.addEventListener("abort", () => this.#news.resolve(), { once: true });
    while (!signal.aborted) {
      await this.#news.promise;
      await this.#options.clock.sleep(tellDelayMs, signal).catch(() => {}); // Rejects only on abort.
      this.#news = Promise.withResolvers<void>();
      this.#options.onChange();
    }
  }

  #watched(): ReadonlyArray<readonly [name: string, resource: Resource, handlers: Handlers]> {
    const { ciliumNamespace } = this.#options;
    return [
      [
        "settings",
        resources.configMaps,
        {
          namespace: ciliumNamespace,
          selector: { fields: "metadata.name=cilium-config" },
          onUpsert: (object) => this.#setSettings(settingsFrom(textMapAt(object, "data"))),
          onDelete: () => this.#setSettings(defaultSettings),
        },
      ],
      [
        "namespaces",
        resources.namespaces,
        {
          onUpsert: (object) => {
            const { name, annotations } = namespaceFrom(object);
            this.#setNamespace(name, annotations[auditAnnotation]);
          },
          onDelete: ({ name }) => {
            this.#namespaces.delete(name);
            this.#changed();
          },
        },
      ],
      [
        "endpoints",
        resources.ciliumEndpoints,
        {
          onUpsert: ({ metadata, status }) => this.#setEndpoint(`${metadata.namespace}/${metadata.name}`, status),
          onDelete: ({ namespace, name }) => this.#setEndpoint(`${namespace}/${name}`, undefined),
        },
      ],
      ...policyKinds.map(({ resource, parse }) => {
        const handlers: Handlers = {
          onUpsert: (object) => {
            // What an agent may have turned on is not known here.
            const { rules, problems } = parse(object, { clusterName: this.#settings.clusterName, nodeSelectorLabels: true });
            // As agents do: what an object said while it was valid stays in force.
            if (problems.length === 0) this.#setRules(object.metadata.namespace ?? "", policyKey(resource, object.metadata), rules);
          },
          onDelete: (reference) => this.#setRules(reference.namespace, policyKey(resource, reference), []),
        };
        return [resource.plural, resource, handlers] as const;
      }),
    ];
  }

  /** What cannot be read is as if there were none: the card is right about the rest, and the log says what is missing. */
  #reflect(name: string, resource: Resource, handlers: Handlers, signal: AbortSignal): Promise<void> {
    const { client, clock, log } = this.#options;
    const listed = (): void => {
      this.#waiting.delete(name);
      this.#changed();
    };
    return reflect({
      client,
      clock,
      resource,
      signal,
      ...handlers,
      onListed: listed,
      onState: (state) => {
        if (state.kind === "watching") this.#failures.delete(name);
        if (state.kind !== "waiting") return;
        const { failure } = state;
        if (failure instanceof KubernetesError && failure.status === 404) return listed();
        if (failure instanceof KubernetesError && failure.status === 403) listed();
        if (!this.#failures.has(name)) log.warn(`policy states of cards may be wrong: ${resource.plural}: ${errorMessage(failure)}`);
        this.#failures.add(name);
      },
    });
  }

  #judge(namespace: string, labels: Labels, realised: Realised | undefined): ServicePolicy {
    const { mode, auditsEverywhere } = this.#settings;
    const rules = ["", namespace].flatMap((scope) => [...(this.#rules.get(scope)?.values() ?? [])].flat());
    const said = enforcementOf(labels, { rules, mode });
    const audits = this.#namespaces.get(namespace) ?? auditsEverywhere;
    const stateOf = (direction: "ingress" | "egress"): PolicyState => {
      const told: Enforcement = said[direction] !== "none" && audits ? "audit" : said[direction];
      if (realised === undefined) return told;
      const enforced = realised[direction];
      if (enforced === 0) return "none";
      if (enforced < realised.pods) return "partly";
      // An agent enforces what the policies do not say when it is told to always.
      return told === "audit" || audits ? "audit" : "enforced";
    };
    return { ingress: stateOf("ingress"), egress: stateOf("egress") };
  }

  #setSettings(settings: Settings): void {
    this.#settings = settings;
    this.#changed();
  }

  #setNamespace(name: string, says: string | undefined): void {
    this.#namespaces.set(name, says === "enabled" ? true : says === "disabled" ? false : undefined);
    this.#changed();
  }

  #setRules(namespace: string, key: string, rules: readonly Rule[]): void {
    const within = this.#rules.get(namespace) ?? new Map<string, readonly Rule[]>();
    if (rules.length > 0) this.#rules.set(namespace, within.set(key, rules));
    else if (within.delete(key) && within.size === 0) this.#rules.delete(namespace);
    this.#changed();
  }

  #setEndpoint(name: string, status: unknown): void {
    const before = this.#endpoints.get(name);
    const after = endpointFrom(status);
    if (before?.identity === after?.identity && before?.ingress === after?.ingress && before?.egress === after?.egress) return;
    if (before !== undefined) this.#count(before, -1, []);
    if (after === undefined) this.#endpoints.delete(name);
    else {
      this.#endpoints.set(name, after);
      this.#count(after, 1, textsAt(recordAt(status, "identity"), "labels"));
    }
    this.#changed();
  }

  #count({ identity, ingress, egress }: Endpoint, difference: 1 | -1, labels: readonly string[]): void {
    const realised = this.#identities.get(identity) ?? { labels: Labels.parse([...labels]), pods: 0, ingress: 0, egress: 0 };
    realised.pods += difference;
    if (ingress) realised.ingress += difference;
    if (egress) realised.egress += difference;
    if (realised.pods === 0) this.#identities.delete(identity);
    else this.#identities.set(identity, realised);
  }

  #changed(): void {
    this.#known.clear();
    this.#news.resolve();
  }
}

function settingsFrom(texts: Readonly<Record<string, string>>): Settings {
  const mode = texts["enable-policy"];
  return {
    clusterName: texts["cluster-name"] || defaultSettings.clusterName,
    mode: mode === "always" || mode === "never" ? mode : "default",
    auditsEverywhere: texts["policy-audit-mode"] === "true",
  };
}

/** Undefined as long as the agent has not said which identity it has. */
function endpointFrom(status: unknown): Endpoint | undefined {
  const identity = recordAt(status, "identity").id;
  if (typeof identity !== "number" || identity === 0) return undefined;
  const enforces = (direction: "ingress" | "egress"): boolean => recordAt(recordAt(status, "policy"), direction).enforcing === true;
  return { identity, ingress: enforces("ingress"), egress: enforces("egress") };
}
