import { Labels } from "@cilium-ts/labels";
import { formatPrefix } from "@cilium-ts/net";
import type { CidrGroup } from "@cilium-ts/policy";
import { parseCidr } from "./cidr.ts";
import { FieldReader, joinPath, type Problem } from "./object-fields.ts";

/** A named list of CIDRs that policies refer to. With any problem there is no group: what it was before stays in force. */
export function parseCiliumCidrGroup(object: unknown): { group: CidrGroup | undefined; problems: Problem[] } {
  const reader = new FieldReader();
  const fields = reader.object(object, "", ["apiVersion", "kind", "metadata", "spec"]);
  if (fields === undefined) return { group: undefined, problems: reader.problems };
  const kind = fields.kind ?? "CiliumCIDRGroup";
  if (kind !== "CiliumCIDRGroup") reader.problem("kind", `must be CiliumCIDRGroup, not ${JSON.stringify(kind)}`);
  const metadata = reader.anyObject(fields.metadata, "metadata") ?? {};
  const name = reader.string(metadata.name, "metadata.name") ?? "";
  if (name === "") reader.problem("metadata.name", "is required");
  const spec = reader.object(fields.spec, "spec", ["externalCIDRs"]) ?? {};
  const items = reader.list(spec.externalCIDRs, "spec.externalCIDRs");
  if (items === undefined) reader.problem("spec.externalCIDRs", "is required; [] is no address at all");
  const cidrs = new Set<string>();
  for (const [index, item] of (items ?? []).entries()) {
    const prefix = parseCidr(item, `spec.externalCIDRs[${index}]`, reader);
    if (prefix !== undefined) cidrs.add(formatPrefix(prefix));
  }
  const labels = readLabels(metadata.labels, "metadata.labels", reader);
  if (reader.problems.length > 0) return { group: undefined, problems: reader.problems };
  return { group: { name, labels, cidrs: [...cidrs] }, problems: [] };
}

function readLabels(value: unknown, path: string, reader: FieldReader): Labels {
  const fields = value === undefined || value === null ? {} : (reader.anyObject(value, path) ?? {});
  const texts = Object.entries(fields).map(([key, text]) => ({
    source: "k8s",
    key,
    value: reader.string(text, joinPath(path, key)) ?? "",
  }));
  return Labels.of(texts);
}
