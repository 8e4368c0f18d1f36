import type { Selector } from "@cilium-ts/labels";
import type { Peer, RuleSection } from "@cilium-ts/policy";
import { parseLabelSelector } from "./label-selector.ts";
import { type Fields, joinPath } from "./object-fields.ts";
import { isPresent } from "./policy-object.ts";
import { parseIcmps, parseToPorts } from "./port-rules.ts";
import { type PeerKind, parsePeer } from "./rule-peers.ts";
import type { SectionContext, SectionName } from "./section-context.ts";
import { scopePeer } from "./selector-scope.ts";

/** What stands for peers, by direction. Only one of a section may have items. */
const peerKinds = {
  from: ["Endpoints", "Entities", "CIDR", "CIDRSet", "Nodes"],
  to: ["Endpoints", "Entities", "CIDR", "CIDRSet", "Nodes", "Services", "FQDNs"],
} as const satisfies Record<string, readonly PeerKind[]>;

/** Known to the schema, not enforced by this version. */
const laterFields = {
  ingress: ["fromGroups", "authentication"],
  ingressDeny: ["fromGroups"],
  egress: ["toGroups", "authentication"],
  egressDeny: ["toGroups"],
} as const;

/** One item of an ingress or egress list; `origin` is the path that verdicts name. */
export function parseSection(value: unknown, path: string, origin: string, name: SectionName, context: SectionContext): RuleSection {
  const { reader } = context;
  const side = name.startsWith("ingress") ? "from" : "to";
  const nothing: RuleSection = { path: origin, peers: [] };
  // Names are learned when somebody asks for them: what to deny has to be known before.
  const kinds = peerKinds[side].filter((kind) => kind !== "FQDNs" || name === "egress");
  const peerFields = kinds.map((kind) => `${side}${kind}`);
  const fields = reader.object(value, path, [...peerFields, `${side}Requires`, ...laterFields[name], "toPorts", "icmps"]);
  if (fields === undefined) return nothing;
  for (const later of laterFields[name]) {
    if (isPresent(fields[later])) reader.problem(joinPath(path, later), "is not supported yet; leave it out, or wait with this policy");
  }
  const peers = parsePeers(fields, path, side, context);
  const requires = parseRequires(fields[`${side}Requires`], joinPath(path, `${side}Requires`), context);
  const toPorts = parseToPorts(fields.toPorts, joinPath(path, "toPorts"), origin, name, reader);
  const icmps = parseIcmps(fields.icmps, joinPath(path, "icmps"), origin, reader);
  if (toPorts !== undefined && icmps !== undefined) {
    reader.problem(joinPath(path, "icmps"), "cannot stand beside toPorts; write a rule of its own for each");
  }
  const required = requires.length === 0 ? {} : { requires };
  const ports = toPorts ?? icmps;
  // An item that says nothing allows nothing; it is there to turn default deny on. Requirements alone let nobody in either.
  if (peers === undefined && (ports === undefined || requires.length > 0)) return { ...nothing, ...required };
  return { path: origin, ...(peers === undefined ? {} : { peers }), ...required, ...(ports === undefined ? {} : { ports }) };
}

/** Undefined: none named, so any peer. A list that is given but empty chooses nobody. */
function parsePeers(fields: Fields, path: string, side: "from" | "to", context: SectionContext): Peer[] | undefined {
  const { reader } = context;
  const lists = peerKinds[side].map((kind) => {
    const name = `${side}${kind}`;
    return { kind, name, items: reader.list(fields[name], joinPath(path, name)) };
  });
  const filled = lists.filter(({ items }) => items !== undefined && items.length > 0);
  const [first, second] = filled;
  if (first !== undefined && second !== undefined) {
    reader.problem(
      joinPath(path, second.name),
      `cannot stand beside ${first.name}: a rule has one kind of peers; write a rule of its own for each`,
    );
  }
  const peers = filled.flatMap(({ kind, name, items }) =>
    (items ?? []).map((item, index) => parsePeer(kind, item, `${joinPath(path, name)}[${index}]`, context)),
  );
  if (lists.some(({ items }) => items?.length === 0)) return [];
  return filled.length === 0 ? undefined : peers.filter((peer) => peer !== undefined);
}

function parseRequires(value: unknown, path: string, context: SectionContext): Selector[] {
  return (context.reader.list(value, path) ?? [])
    .map((item, index) => parseLabelSelector(item, `${path}[${index}]`, context.reader))
    .filter((selector) => selector !== undefined)
    .map((selector) => scopePeer(selector, context));
}
