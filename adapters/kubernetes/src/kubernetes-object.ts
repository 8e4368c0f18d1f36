import { isRecord } from "@cilium-ts/std";
/** The part that every object of the API has. */
export interface ObjectMeta {
  readonly name?: string;
  readonly generateName?: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly ownerReferences?: readonly OwnerReference[];
  readonly finalizers?: readonly string[];
  readonly [field: string]: unknown;
}

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

/** An object as it travels. Objects inside a list carry neither apiVersion nor kind. */
export interface KubernetesObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: ObjectMeta;
  readonly [field: string]: unknown;
}

export interface KubernetesList {
  readonly resourceVersion: string;
  /** Where the next page begins; absent on the last. */
  readonly continueToken?: string;
  readonly items: readonly KubernetesObject[];
}

/** Enough to say which object is meant when the object itself is gone. */
export interface ObjectReference {
  /** Empty when the resource has no namespaces. */
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

/** Undefined when the value is no object of the API: it has no name. */
export function asKubernetesObject(value: unknown): KubernetesObject | undefined {
  if (!isRecord(value) || !isRecord(value.metadata) || typeof value.metadata.name !== "string" || value.metadata.name === "")
    return undefined;
  return value as unknown as KubernetesObject;
}

export function referenceTo(object: KubernetesObject): ObjectReference {
  const { namespace = "", name = "", uid = "" } = object.metadata;
  return { namespace, name, uid };
}
