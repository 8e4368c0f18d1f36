import type { KubernetesObject } from "@cilium-ts/kubernetes";
import type { Protocol } from "./in-pod.ts";
import { hostPort, type PlaceName, placeNames, worldPort } from "./places.ts";

/** Policies, and what they let through. */
export interface Scenario {
  readonly name: string;
  /** One sentence. */
  readonly about: string;
  /** With kind and apiVersion; those of namespaced kinds get the test's namespace. */
  readonly objects: (test: TestNames) => readonly KubernetesObject[];
  readonly rows: readonly Row[];
}

/** What scenarios need to name. */
export interface TestNames {
  readonly namespace: string;
  readonly otherNamespace: string;
  readonly worldIPv4: string;
  readonly worldIPv6: string;
}

export type Verdict = "allowed" | "dropped";

/** One attempt: who asks whom over what, and what must become of it. */
export interface Row {
  readonly from: PlaceName;
  readonly protocol: Protocol;
  /** 0 for icmp. */
  readonly port: number;
  readonly to: PlaceName;
  readonly verdict: Verdict;
}

/** Reads rows such as `client  tcp/8080  near  allowed`, one a line. A mistake in them is ours. */
export function rows(text: string): readonly Row[] {
  const lines = text.split("\n").map((line) => line.trim());
  return lines.filter((line) => line !== "").map(parseRow);
}

function parseRow(line: string): Row {
  const [from = "", what = "", to = "", verdict = ""] = line.split(/\s+/);
  const [protocol = "", portText = "0"] = what.split("/");
  const port = portText === "host" ? hostPort : portText === "world" ? worldPort : Number(portText);
  if (!isPlace(from) || !isPlace(to) || (verdict !== "allowed" && verdict !== "dropped") || !isProtocol(protocol) || Number.isNaN(port))
    throw new RangeError(`"${line}" is no row of a scenario`);
  return { from, protocol, port, to, verdict };
}

function isPlace(text: string): text is PlaceName {
  return placeNames.some((name) => name === text);
}

function isProtocol(text: string): text is Protocol {
  return text === "tcp" || text === "udp" || text === "icmp";
}

export function rowText({ from, protocol, port, to, verdict }: Row): string {
  return `${from} ${protocol}${protocol === "icmp" ? "" : `/${port === worldPort ? "world" : port}`} ${to} ${verdict}`;
}
