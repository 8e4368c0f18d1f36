import { icmpTypeByName, type Layer7, type PortGroup, type PortMatch, type Protocol, parserOf, protocols } from "@cilium-ts/policy";
import { parseLayer7 } from "./layer7-rules.ts";
import { describe, type FieldReader, type Fields, joinPath } from "./object-fields.ts";
import { isPresent } from "./policy-object.ts";
import type { SectionName } from "./section-context.ts";

/** Of one list of ports, and of one list of ICMP fields. */
const portCountMax = 40;
/** A name of a service (RFC 6335): letters, digits and single inner dashes, at least one letter. */
const portNamePattern = /^(?=.{1,15}$)(?=.*[A-Za-z])[A-Za-z0-9]+(-[A-Za-z0-9]+)*$/;

const protocolNames: Readonly<Record<string, Protocol>> = {
  TCP: protocols.tcp,
  UDP: protocols.udp,
  SCTP: protocols.sctp,
  ANY: protocols.any,
};

/** The items of `toPorts` as groups; `origin` is the path that verdicts name. Undefined: no restriction. */
export function parseToPorts(
  value: unknown,
  path: string,
  origin: string,
  name: SectionName,
  reader: FieldReader,
): PortGroup[] | undefined {
  const items = reader.list(value, path);
  if (items === undefined || items.length === 0) return undefined;
  return items.map((item, index) => ({
    path: `${origin}.toPorts[${index}]`,
    ...parsePortRule(item, `${path}[${index}]`, name, reader),
  }));
}

/** Known to the schema, not enforced by this version. */
const laterFields = ["listener", "originatingTLS", "serverNames", "terminatingTLS"];

function parsePortRule(value: unknown, path: string, name: SectionName, reader: FieldReader): Pick<PortGroup, "ports" | "layer7"> {
  const denies = name === "ingressDeny" || name === "egressDeny";
  const fields = reader.object(value, path, denies ? ["ports"] : ["ports", "rules", ...laterFields]);
  if (fields === undefined) return { ports: [] };
  const ports = parsePortList(fields, path, reader);
  if (denies) return { ports };
  for (const later of laterFields) {
    if (isPresent(fields[later]))
      reader.problem(joinPath(path, later), "is not supported yet (it needs a proxy); allow by ports alone, or leave the policy out");
  }
  const layer7 = parseLayer7(fields.rules, joinPath(path, "rules"), name === "ingress" ? "ingress" : "egress", reader);
  if (layer7 === undefined) return { ports };
  checkLayer7Ports(ports, layer7, joinPath(path, "ports"), reader);
  return { ports, layer7 };
}

/** A parser takes single ports of its own transport. */
function checkLayer7Ports(ports: readonly PortMatch[], layer7: Layer7, path: string, reader: FieldReader): void {
  const parser = parserOf(layer7);
  if (ports.length === 0) reader.problem(path, `must name the ports whose connections the rules for ${parser} are about`);
  for (const [index, match] of ports.entries()) {
    const itemPath = `${path}[${index}]`;
    const { protocol } = match;
    if (match.kind === "number" && match.first === 0)
      reader.problem(joinPath(itemPath, "port"), `must be one that speaks ${parser}: rules of layer 7 cannot be about every port`);
    else if (match.kind === "number" && match.first !== match.last && layer7.parser === "dns")
      reader.problem(joinPath(itemPath, "endPort"), "cannot stand beside rules for dns, which are about single ports");
    if (layer7.parser === "dns" ? protocol === protocols.sctp : protocol !== protocols.tcp)
      reader.problem(
        joinPath(itemPath, "protocol"),
        `must be ${layer7.parser === "dns" ? "UDP, TCP or ANY" : "TCP"} beside rules for ${parser}`,
      );
  }
}

function parsePortList(fields: Fields, path: string, reader: FieldReader): PortMatch[] {
  const portsPath = joinPath(path, "ports");
  const items = reader.list(fields.ports, portsPath) ?? [];
  if (items.length > portCountMax)
    reader.problem(portsPath, `has ${items.length} ports, the most is ${portCountMax}; use a range (endPort) or another toPorts item`);
  return items.map((item, index) => parsePort(item, `${portsPath}[${index}]`, reader)).filter((port) => port !== undefined);
}

function parsePort(value: unknown, path: string, reader: FieldReader): PortMatch | undefined {
  const fields = reader.object(value, path, ["port", "endPort", "protocol"]);
  if (fields === undefined) return undefined;
  const protocol = parseProtocol(fields.protocol, joinPath(path, "protocol"), reader);
  const portPath = joinPath(path, "port");
  const endPortPath = joinPath(path, "endPort");
  const given = fields.port;
  if (typeof given === "number") return reader.problem(portPath, `must be a string: write ${JSON.stringify(String(given))} in quotes`);
  const text = reader.string(given, portPath);
  if (text === undefined)
    return given === undefined || given === null ? reader.problem(portPath, 'is required; "0" is every port') : undefined;
  const endPort = fields.endPort ?? 0;
  if (!isPortNumber(endPort)) return reader.problem(endPortPath, `must be a number from 0 to 65535, not ${describe(endPort)}`);
  if (portNamePattern.test(text)) {
    if (endPort !== 0) return reader.problem(endPortPath, "needs a numeric port; a name stands for one port");
    return protocol === undefined ? undefined : { kind: "name", protocol, name: text.toLowerCase() };
  }
  const first = Number(text);
  if (!/^(0|[1-9][0-9]*)$/.test(text) || !isPortNumber(first)) {
    return reader.problem(portPath, `${JSON.stringify(text)} is no port; write a number from 0 to 65535 or the name of a port`);
  }
  if (endPort !== 0 && endPort < first) return reader.problem(endPortPath, `${endPort} lies before port ${first}`);
  if (endPort !== 0 && first === 0) return reader.problem(endPortPath, 'a range cannot begin at port "0", which stands for every port');
  if (protocol === undefined) return undefined;
  return { kind: "number", protocol, first, last: first === 0 ? 65_535 : endPort === 0 ? first : endPort };
}

function parseProtocol(value: unknown, path: string, reader: FieldReader): Protocol | undefined {
  const text = reader.string(value, path) ?? "ANY";
  if (Object.hasOwn(protocolNames, text)) return protocolNames[text];
  if (text === "VRRP" || text === "IGMP") return reader.problem(path, `${text} is not supported yet`);
  if (/^icmp(v6)?$/i.test(text)) return reader.problem(path, `${text} has types, not ports; use icmps instead of toPorts`);
  return reader.problem(path, `${JSON.stringify(text)} is no protocol; write one of ${Object.keys(protocolNames).join(", ")}`);
}

/** The items of `icmps` as groups. Undefined: none are given. */
export function parseIcmps(value: unknown, path: string, origin: string, reader: FieldReader): PortGroup[] | undefined {
  const items = reader.list(value, path);
  if (items === undefined || items.length === 0) return undefined;
  return items.map((item, index) => {
    const itemPath = `${path}[${index}]`;
    const fieldsPath = joinPath(itemPath, "fields");
    const list = reader.list(reader.object(item, itemPath, ["fields"])?.fields, fieldsPath) ?? [];
    if (list.length > portCountMax)
      reader.problem(fieldsPath, `has ${list.length} types, the most is ${portCountMax}; use another icmps item`);
    const ports = list
      .map((field, position) => parseIcmpField(field, `${fieldsPath}[${position}]`, reader))
      .filter((port) => port !== undefined);
    return { path: `${origin}.icmps[${index}]`, ports };
  });
}

function parseIcmpField(value: unknown, path: string, reader: FieldReader): PortMatch | undefined {
  const fields = reader.object(value, path, ["family", "type"]);
  if (fields === undefined) return undefined;
  const family = fields.family ?? "IPv4";
  if (family !== "IPv4" && family !== "IPv6")
    return reader.problem(joinPath(path, "family"), `must be IPv4 or IPv6, not ${describe(family)}`);
  const type = icmpType(family === "IPv4" ? 4 : 6, fields.type);
  if (type === undefined) {
    return reader.problem(
      joinPath(path, "type"),
      `${describe(fields.type)} is no ${family} ICMP type; write a number from 0 to 255 or a name such as EchoRequest`,
    );
  }
  return { kind: "number", protocol: family === "IPv4" ? protocols.icmp : protocols.icmpv6, first: type, last: type };
}

function icmpType(family: 4 | 6, value: unknown): number | undefined {
  const text = typeof value === "number" ? String(value) : value;
  if (typeof text !== "string") return undefined;
  if (/^(0|[1-9][0-9]{0,2})$/.test(text)) return Number(text) <= 255 ? Number(text) : undefined;
  return icmpTypeByName(family, text);
}

function isPortNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 65_535;
}
