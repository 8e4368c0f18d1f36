/** Who takes part: pods on two nodes, the nodes themselves, and a server outside of the cluster. */
export const placeNames = ["client", "client2", "near", "far", "stranger", "nearHost", "farHost", "world"] as const;
export type PlaceName = (typeof placeNames)[number];

/** Stands in rows for the port of the server outside, which the user chooses. */
export const worldPort = -1;
/** Of the servers on the nodes, away from what nodes usually serve. */
export const hostPort = 41_080;

/** What the servers in pods listen on; `http` names the first. */
export const podPorts = ["tcp/8080", "tcp/8081", "tcp/8085", "tcp/8090", "udp/8080", "udp/8081"] as const;

/** A pod of the test. */
export interface PlacePod {
  readonly place: PlaceName;
  readonly name: string;
  readonly node: "first" | "second";
  readonly hostNetwork: boolean;
  /** Whether it lives in the second namespace. */
  readonly elsewhere: boolean;
  readonly labels: Readonly<Record<string, string>>;
}

export const placePods: readonly PlacePod[] = [
  pod("client", "client", { node: "first", labels: { kind: "client", name: "client" } }),
  pod("client2", "client2", { node: "first", labels: { kind: "client", name: "client2", other: "client" } }),
  pod("near", "echo-same-node", { node: "first", labels: { kind: "echo", name: "echo-same-node" } }),
  pod("far", "echo-other-node", { node: "second", labels: { kind: "echo", name: "echo-other-node" } }),
  pod("stranger", "stranger", { node: "first", labels: { kind: "client", name: "client" }, elsewhere: true }),
  pod("nearHost", "host-first", { node: "first", labels: { kind: "host" }, hostNetwork: true }),
  pod("farHost", "host-second", { node: "second", labels: { kind: "host" }, hostNetwork: true }),
];

function pod(
  place: PlaceName,
  name: string,
  rest: Pick<PlacePod, "node" | "labels"> & Partial<Pick<PlacePod, "hostNetwork" | "elsewhere">>,
): PlacePod {
  return { place, name, hostNetwork: false, elsewhere: false, ...rest };
}

/** Where a place is now. */
export interface Place {
  readonly name: PlaceName;
  /** Undefined for what is outside. */
  readonly pod: { readonly namespace: string; readonly name: string; readonly node: string; readonly hostNetwork: boolean } | undefined;
  /** Empty for a family that it does not have. */
  readonly ipv4: string;
  readonly ipv6: string;
}

export type Places = ReadonlyMap<PlaceName, Place>;
