import { type KubernetesObject, listAt, recordAt, textAt, textsAt } from "@cilium-ts/kubernetes";

/** Pods that a lab made itself have containers of this image, and are its own business. */
export const labImage = "cilium-ts.invalid/lab";

/** What the lab's kubelet keeps of a pod: what it is to run, and where. */
export interface PodRow {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly nodeName: string;
  readonly hostNetwork: boolean;
  readonly containers: readonly ContainerRow[];
}

export interface ContainerRow {
  readonly name: string;
  readonly image: string;
  /** With its arguments; empty when only the image would say. */
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** Undefined for pods that are nobody's yet, or the lab's own. */
export function podRowFrom(object: KubernetesObject): PodRow | undefined {
  const { metadata } = object;
  const spec = recordAt(object, "spec");
  const containers = listAt(spec, "containers").map(containerFrom);
  const nodeName = textAt(spec, "nodeName");
  if (nodeName === "" || containers.some(({ image }) => image === labImage)) return undefined;
  const { namespace = "", name = "", uid = "" } = metadata;
  return { namespace, name, uid, nodeName, hostNetwork: spec.hostNetwork === true, containers };
}

function containerFrom(container: unknown): ContainerRow {
  const env = listAt(container, "env").map((entry) => [textAt(entry, "name"), textAt(entry, "value")]);
  return {
    name: textAt(container, "name"),
    image: textAt(container, "image"),
    command: [...textsAt(container, "command"), ...textsAt(container, "args")],
    env: Object.fromEntries(env),
  };
}

export function podKey({ namespace, name }: { readonly namespace: string; readonly name: string }): string {
  return `${namespace}/${name}`;
}
