import { Labels } from "@cilium-ts/labels";

/** Numbers of identities that every node knows without asking: 0 to 99 by rule, these in use. */
export const reservedIdentities = {
  unknown: 0,
  host: 1,
  world: 2,
  unmanaged: 3,
  health: 4,
  init: 5,
  remoteNode: 6,
  kubeApiserver: 7,
  ingress: 8,
  worldIPv4: 9,
  worldIPv6: 10,
  overlayToEncrypt: 11,
} as const;

const names: readonly (readonly [number, string])[] = [
  [reservedIdentities.unknown, "unknown"],
  [reservedIdentities.host, "host"],
  [reservedIdentities.world, "world"],
  [reservedIdentities.unmanaged, "unmanaged"],
  [reservedIdentities.health, "health"],
  [reservedIdentities.init, "init"],
  [reservedIdentities.remoteNode, "remote-node"],
  [reservedIdentities.kubeApiserver, "kube-apiserver"],
  [reservedIdentities.ingress, "ingress"],
  [reservedIdentities.worldIPv4, "world-ipv4"],
  [reservedIdentities.worldIPv6, "world-ipv6"],
  [reservedIdentities.overlayToEncrypt, "overlay-to-encrypt"],
];

const labelsById = new Map<number, Labels>(
  names.map(([id, name]) => [
    id,
    // The API server on a node is that node too.
    Labels.parse(id === reservedIdentities.kubeApiserver ? [`reserved:${name}`, "reserved:remote-node"] : [`reserved:${name}`]),
  ]),
);
const nameById = new Map(names);
const idByName = new Map(names.map(([id, name]) => [name, id]));

/** `reserved:<name>`, or undefined for a number that is not reserved. */
export function reservedLabels(id: number): Labels | undefined {
  return labelsById.get(id);
}

export function reservedName(id: number): string | undefined {
  return nameById.get(id);
}

export function reservedIdentityByName(name: string): number | undefined {
  return idByName.get(name);
}

/** Every reserved identity that can be a peer, with its labels: all but `unknown`. */
export function reservedPeers(): readonly (readonly [number, Labels])[] {
  return [...labelsById].filter(([id]) => id !== reservedIdentities.unknown);
}
