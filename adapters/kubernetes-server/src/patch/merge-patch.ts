import { isObject, type Mutable, type MutableJson } from "../schema/schema.ts";

/** RFC 7386: members replace, `null` removes, everything but objects is replaced as a whole. Neither argument is changed. */
export function applyMergePatch(target: MutableJson | undefined, patch: MutableJson): MutableJson {
  if (!isObject(patch)) return patch;
  const result: Mutable = isObject(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else result[name] = applyMergePatch(result[name], value);
  }
  return result;
}
