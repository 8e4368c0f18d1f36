import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { emitFiles } from "./codecs/emit-files.ts";
import { type CompiledObject, mergeModels, readObject } from "./codecs/read-object.ts";

/**
 * TypeScript for everything that the objects share with user space, by file name: the same text for the same layouts,
 * whatever the order of the objects. Throws with the object and the field for a layout that cannot be shared.
 */
export async function generateCodecs(objects: readonly CompiledObject[]): Promise<Map<string, string>> {
  const template = await readFile(join(import.meta.dirname, "codecs/template/codec.ts"), "utf8");
  const sorted = objects.toSorted((left, right) => (left.name < right.name ? -1 : 1));
  return emitFiles(mergeModels(sorted.map(readObject)), template);
}
