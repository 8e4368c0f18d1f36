import { isRecord } from "@cilium-ts/std";
/** Reading foreign objects: whatever is not what it should be counts as absent. */

export function recordAt(parent: unknown, field: string): Readonly<Record<string, unknown>> {
  const value = isRecord(parent) ? parent[field] : undefined;
  return isRecord(value) ? value : {};
}

export function listAt(parent: unknown, field: string): readonly unknown[] {
  const value = isRecord(parent) ? parent[field] : undefined;
  return Array.isArray(value) ? value : [];
}

export function textAt(parent: unknown, field: string): string {
  const value = isRecord(parent) ? parent[field] : undefined;
  return typeof value === "string" ? value : "";
}

export function textsAt(parent: unknown, field: string): readonly string[] {
  return listAt(parent, field).filter((item) => typeof item === "string");
}

/** The entries of a map whose values are texts. */
export function textMapAt(parent: unknown, field: string): Readonly<Record<string, string>> {
  const texts: Record<string, string> = {};
  for (const [key, value] of Object.entries(recordAt(parent, field))) if (typeof value === "string") texts[key] = value;
  return texts;
}
