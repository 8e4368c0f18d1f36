import { type PortMatch, type Protocol, protocols } from "@cilium-ts/policy";
import { describe, type FieldReader, type Fields, joinPath } from "./object-fields.ts";
import { isPresent } from "./policy-object.ts";

const transports = { tcp: protocols.tcp, udp: protocols.udp, sctp: protocols.sctp } as const;
const transportNames = ["tcp", "udp", "sctp"] as const;
const namePattern = /^(?=.{1,15}$)(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*$/;

/** `protocols` of a ClusterNetworkPolicy's rule. */
export function parseProtocols(items: readonly unknown[], path: string, reader: FieldReader): PortMatch[] {
  return items.flatMap((item, index): PortMatch[] => {
    const itemPath = `${path}[${index}]`;
    const forms = [...transportNames, "destinationNamedPort"] as const;
    const form = oneOf(item, itemPath, forms, reader);
    if (form === undefined) return [];
    const { name, fields } = form;
    const innerPath = joinPath(itemPath, name);
    if (name === "destinationNamedPort") return named(fields[name], innerPath, protocols.any, reader);
    const inner = reader.object(fields[name], innerPath, ["destinationPort"]);
    if (inner === undefined) return [];
    const protocol = transports[name];
    if (!isPresent(inner.destinationPort)) return [{ kind: "number", protocol, first: 0, last: 65_535 }];
    const portPath = joinPath(innerPath, "destinationPort");
    const port = oneOf(inner.destinationPort, portPath, ["number", "range"] as const, reader);
    if (port === undefined) return [];
    if (port.name === "number") return numbered(protocol, port.fields.number, port.fields.number, joinPath(portPath, "number"), reader);
    return ranged(protocol, port.fields.range, joinPath(portPath, "range"), reader);
  });
}

/** `ports` of an AdminNetworkPolicy's rule. */
export function parseOldPorts(items: readonly unknown[], path: string, reader: FieldReader): PortMatch[] {
  return items.flatMap((item, index): PortMatch[] => {
    const itemPath = `${path}[${index}]`;
    const form = oneOf(item, itemPath, ["portNumber", "namedPort", "portRange"] as const, reader);
    if (form === undefined) return [];
    const innerPath = joinPath(itemPath, form.name);
    const value = form.fields[form.name];
    if (form.name === "namedPort") return named(value, innerPath, protocols.any, reader);
    const known = form.name === "portNumber" ? ["protocol", "port"] : ["protocol", "start", "end"];
    const fields = reader.object(value, innerPath, known);
    const protocol = fields === undefined ? undefined : transportOf(fields.protocol, joinPath(innerPath, "protocol"), reader);
    if (fields === undefined || protocol === undefined) return [];
    if (form.name === "portNumber") return numbered(protocol, fields.port, fields.port, joinPath(innerPath, "port"), reader);
    return numbered(protocol, fields.start, fields.end, innerPath, reader);
  });
}

function oneOf<Name extends string>(
  value: unknown,
  path: string,
  names: readonly Name[],
  reader: FieldReader,
): { readonly name: Name; readonly fields: Fields } | undefined {
  const fields = reader.object(value, path, names);
  if (fields === undefined) return undefined;
  const [name, other] = names.filter((one) => isPresent(fields[one]));
  if (name === undefined || other !== undefined) return reader.problem(path, `must have one of ${names.join(", ")}`);
  return { name, fields };
}

function transportOf(value: unknown, path: string, reader: FieldReader): Protocol | undefined {
  const name = transportNames.find((transport) => transport.toUpperCase() === (value ?? "TCP"));
  return name === undefined ? reader.problem(path, `must be TCP, UDP or SCTP, not ${describe(value)}`) : transports[name];
}

function named(value: unknown, path: string, protocol: Protocol, reader: FieldReader): PortMatch[] {
  if (typeof value === "string" && namePattern.test(value)) return [{ kind: "name", protocol, name: value }];
  reader.problem(path, `${describe(value)} is no name of a port`);
  return [];
}

function ranged(protocol: Protocol, value: unknown, path: string, reader: FieldReader): PortMatch[] {
  const fields = reader.object(value, path, ["start", "end"]);
  return fields === undefined ? [] : numbered(protocol, fields.start, fields.end, path, reader);
}

function numbered(protocol: Protocol, first: unknown, last: unknown, path: string, reader: FieldReader): PortMatch[] {
  if (!isPort(first) || !isPort(last)) {
    reader.problem(path, `must be a port from 1 to 65535, not ${describe(isPort(first) ? last : first)}`);
    return [];
  }
  if (last < first) {
    reader.problem(path, `ends at ${last}, before it starts at ${first}`);
    return [];
  }
  return [{ kind: "number", protocol, first, last }];
}

function isPort(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= 65_535;
}
