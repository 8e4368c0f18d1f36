import { clusterLabelKey, Selector } from "@cilium-ts/labels";
import type { Entity } from "./rule.ts";

const reserved = (name: string): Selector => Selector.of({ matchLabels: { [`reserved:${name}`]: "" } });

/** Label selectors of an entity; any of them is enough. `all` and the worlds of one family are not chosen by labels: undefined. */
export function selectorsOfEntity(entity: Entity, clusterName: string): readonly Selector[] | undefined {
  switch (entity) {
    case "all":
    case "world-ipv4":
    case "world-ipv6":
      return undefined;
    case "world":
      return [reserved("world"), reserved("world-ipv4"), reserved("world-ipv6")];
    case "cluster":
      return [
        ...["host", "remote-node", "init", "ingress", "health", "unmanaged", "kube-apiserver"].map(reserved),
        Selector.of({ matchLabels: { [`k8s:${clusterLabelKey}`]: clusterName } }),
      ];
    default:
      return [reserved(entity)];
  }
}
