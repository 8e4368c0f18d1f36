import { type KubernetesObject, listAt, type ObjectReference, recordAt, textAt } from "@cilium-ts/kubernetes";
import { type NamedPort, protocols } from "@cilium-ts/policy";
import type { IpcacheTable } from "../ipcache-table.ts";

/** What a CiliumEndpoint says that other nodes need: contracts section 5. */
interface PublishedStatus {
  readonly identity?: { readonly id?: number };
  readonly "named-ports"?: unknown;
  readonly networking?: { readonly addressing?: ReadonlyArray<{ readonly ipv4?: string; readonly ipv6?: string }>; readonly node?: string };
}

interface Claim {
  readonly prefixes: readonly string[];
  readonly identity: number;
  readonly nodeAddress: string;
}

export interface RemotePodName {
  readonly namespace: string;
  readonly podName: string;
}

/** Pods of other nodes: whose their addresses are. Our own are known from their endpoints, which is a stronger source. */
export class RemoteEndpoints {
  readonly #ipcache: IpcacheTable;
  readonly #tunnelEndpointOf: (nodeAddress: string) => string | undefined;
  readonly #claims = new Map<string, Claim>();
  /** Objects by the address of their node. */
  readonly #byNode = new Map<string, Set<string>>();
  /** Which object's word stands for a prefix: an address may pass from one pod to another before the first one's object is gone. */
  readonly #owners = new Map<string, string>();
  /** Objects whose word stood for a prefix before its owner's came, the last one last. Only of prefixes that several claim. */
  readonly #former = new Map<string, string[]>();
  readonly #onOwner: (prefix: string, pod: RemotePodName | undefined) => void;
  readonly #onNamedPorts: (key: string, identity: number, ports: readonly NamedPort[]) => void;

  /** `onOwner` is told which pod has a prefix, whenever that changes; `onNamedPorts` what a pod (`namespace/name`) calls its ports. */
  constructor(options: {
    ipcache: IpcacheTable;
    tunnelEndpointOf: (nodeAddress: string) => string | undefined;
    onOwner?: (prefix: string, pod: RemotePodName | undefined) => void;
    onNamedPorts?: (key: string, identity: number, ports: readonly NamedPort[]) => void;
  }) {
    this.#onOwner = options.onOwner ?? (() => {});
    this.#onNamedPorts = options.onNamedPorts ?? (() => {});
    this.#ipcache = options.ipcache;
    this.#tunnelEndpointOf = options.tunnelEndpointOf;
  }

  get count(): number {
    return this.#claims.size;
  }

  /** Of a pod of another node. */
  identityOf(namespace: string, name: string): number | undefined {
    return this.#claims.get(`${namespace}/${name}`)?.identity;
  }

  /** The pod of another node that has the prefix, and the address of its node; undefined: none has. */
  ownerOf(prefix: string): { readonly namespace: string; readonly name: string; readonly nodeAddress: string } | undefined {
    const key = this.#owners.get(prefix) ?? "";
    const claim = this.#claims.get(key);
    const [namespace = "", name = ""] = key.split("/");
    return claim === undefined ? undefined : { namespace, name, nodeAddress: claim.nodeAddress };
  }

  upsert(object: KubernetesObject): void {
    const key = `${object.metadata.namespace}/${object.metadata.name}`;
    const claim = claimOf(object);
    const before = this.#claims.get(key);
    if (claim === undefined) {
      this.#drop(key);
      return;
    }
    this.#claims.set(key, claim);
    this.#onNamedPorts(key, claim.identity, namedPortsOf(object));
    if (before?.nodeAddress !== claim.nodeAddress) {
      this.#forgetNode(key, before);
      const keys = this.#byNode.get(claim.nodeAddress) ?? new Set<string>();
      this.#byNode.set(claim.nodeAddress, keys.add(key));
    }
    for (const prefix of before?.prefixes ?? []) if (!claim.prefixes.includes(prefix)) this.#release(prefix, key);
    this.#assert(key, claim);
  }

  remove({ namespace, name }: ObjectReference): void {
    this.#drop(`${namespace}/${name}`);
  }

  /** Nodes of these addresses have changed: what their pods are reached by may change too. */
  refresh(nodeAddresses: readonly string[]): void {
    for (const address of nodeAddresses) {
      for (const key of this.#byNode.get(address) ?? [])
        for (const prefix of this.#claims.get(key)?.prefixes ?? []) if (this.#owners.get(prefix) === key) this.#tell(prefix, key);
    }
  }

  /** The word that came last stands. */
  #assert(key: string, { prefixes }: Claim): void {
    for (const prefix of prefixes) {
      const before = this.#owners.get(prefix);
      if (before !== undefined && before !== key) {
        const others = (this.#former.get(prefix) ?? []).filter((other) => other !== key);
        this.#former.set(prefix, [...others, before]);
      }
      this.#setOwner(prefix, key);
    }
  }

  #drop(key: string): void {
    const claim = this.#claims.get(key);
    if (claim === undefined) return;
    this.#claims.delete(key);
    this.#onNamedPorts(key, claim.identity, []);
    this.#forgetNode(key, claim);
    for (const prefix of claim.prefixes) this.#release(prefix, key);
  }

  #forgetNode(key: string, claim: Claim | undefined): void {
    if (claim === undefined) return;
    const keys = this.#byNode.get(claim.nodeAddress);
    keys?.delete(key);
    if (keys?.size === 0) this.#byNode.delete(claim.nodeAddress);
  }

  #release(prefix: string, key: string): void {
    const others = (this.#former.get(prefix) ?? []).filter((other) => other !== key);
    const next = this.#owners.get(prefix) === key ? others.pop() : this.#owners.get(prefix);
    if (others.length > 0) this.#former.set(prefix, others);
    else this.#former.delete(prefix);
    if (next !== undefined) {
      this.#setOwner(prefix, next);
      return;
    }
    this.#owners.delete(prefix);
    this.#onOwner(prefix, undefined);
    this.#ipcache.remove(prefix, "custom-resource");
  }

  #setOwner(prefix: string, key: string): void {
    if (this.#owners.get(prefix) !== key) this.#onOwner(prefix, podNameOf(key));
    this.#owners.set(prefix, key);
    this.#tell(prefix, key);
  }

  #tell(prefix: string, key: string): void {
    const claim = this.#claims.get(key);
    if (claim === undefined) return;
    this.#ipcache.upsert(prefix, "custom-resource", claim.identity, this.#tunnelEndpointOf(claim.nodeAddress));
  }
}

function podNameOf(key: string): RemotePodName {
  const [namespace = "", podName = ""] = key.split("/");
  return { namespace, podName };
}

const protocolNumbers: Readonly<Record<string, NamedPort["protocol"]>> = { TCP: protocols.tcp, UDP: protocols.udp, SCTP: protocols.sctp };

function namedPortsOf(object: KubernetesObject): NamedPort[] {
  const listed = listAt(object.status, "named-ports");
  return listed.flatMap((entry) => {
    const [name, port, protocol] = [textAt(entry, "name"), recordAt({ entry }, "entry").port, protocolNumbers[textAt(entry, "protocol")]];
    return name === "" || typeof port !== "number" || protocol === undefined ? [] : [{ name, port, protocol }];
  });
}

function claimOf(object: KubernetesObject): Claim | undefined {
  const status = object.status as PublishedStatus | undefined;
  const identity = status?.identity?.id;
  const pair = status?.networking?.addressing?.[0];
  if (typeof identity !== "number" || identity <= 0 || pair === undefined) return undefined;
  const prefixes = [...(pair.ipv4 === undefined ? [] : [`${pair.ipv4}/32`]), ...(pair.ipv6 === undefined ? [] : [`${pair.ipv6}/128`])];
  return { prefixes, identity, nodeAddress: status?.networking?.node ?? "" };
}
