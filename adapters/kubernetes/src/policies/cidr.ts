import { formatPrefix, type Prefix, parsePrefix, prefixContains } from "@cilium-ts/net";
import type { FieldReader } from "./object-fields.ts";

/** A prefix; where `with length` is asked for, an address alone is a problem. Host bits are cleared. */
export function parseCidr(value: unknown, path: string, reader: FieldReader, form: "with length" | "any" = "any"): Prefix | undefined {
  const prefix = typeof value === "string" && (form === "any" || value.includes("/")) ? parsePrefix(value) : undefined;
  const given = JSON.stringify(value) ?? "nothing";
  return prefix ?? reader.problem(path, `${given} is no CIDR; write an address and a length, such as 10.0.0.0/8 or fd00::/64`);
}

/** Holes, each inside the outer prefix where there is one. Canonical texts. */
export function parseExcept(value: unknown, path: string, outer: Prefix | "anywhere" | undefined, reader: FieldReader): string[] {
  const except: string[] = [];
  for (const [index, item] of (reader.list(value, path) ?? []).entries()) {
    const itemPath = `${path}[${index}]`;
    const inner = parseCidr(item, itemPath, reader, "with length");
    if (inner === undefined || outer === undefined) continue;
    if (outer === "anywhere" || prefixContains(outer, inner)) except.push(formatPrefix(inner));
    else reader.problem(itemPath, `${formatPrefix(inner)} does not lie in ${formatPrefix(outer)}`);
  }
  return except;
}
