import { listAt, textAt } from "../resources/column.ts";
import type { Mutable } from "../schema/schema.ts";
import { decodeObject } from "./object-text.ts";

/** Objects by the uid of each owner. */
export class Dependents {
  readonly #keys = new Map<string, Set<string>>();

  has(uid: string): boolean {
    return this.#keys.has(uid);
  }

  of(uid: string): readonly string[] {
    return [...(this.#keys.get(uid) ?? [])];
  }

  add(key: string, text: string): void {
    for (const uid of ownersIn(text)) {
      const keys = this.#keys.get(uid) ?? new Set();
      this.#keys.set(uid, keys.add(key));
    }
  }

  remove(key: string, text: string): void {
    for (const uid of ownersIn(text)) {
      const keys = this.#keys.get(uid);
      keys?.delete(key);
      if (keys?.size === 0) this.#keys.delete(uid);
    }
  }
}

export function ownerReferences(object: Mutable): readonly Mutable[] {
  return listAt(object, "metadata", "ownerReferences");
}

/** The uids of the owners of an object in its stored form. */
export function ownersIn(text: string): readonly string[] {
  if (!text.includes('"ownerReferences"')) return [];
  return ownerReferences(decodeObject(text)).map((owner) => textAt(owner, "uid"));
}
