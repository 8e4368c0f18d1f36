import assert from "node:assert/strict";
import type { KubernetesObject, ObjectReference } from "./kubernetes-object.ts";

/** What a reflector has reported, and whether it did so rightly. Violations are recorded, because a callback that throws ends the reflector. */
export class Mirror {
  readonly objects = new Map<string, KubernetesObject>();
  readonly violations: string[] = [];
  upserts = 0;
  deletes = 0;
  readonly #versions = new Set<string>();
  #before = new Map<string, KubernetesObject>();

  /** From here on versions may be any: the server has begun to count anew. */
  forgetVersions(): void {
    this.#versions.clear();
    this.#before = new Map(this.objects);
  }

  readonly onUpsert = (object: KubernetesObject): void => {
    this.upserts += 1;
    const { name = "", uid = "", resourceVersion = "" } = object.metadata;
    const version = `${name} ${uid} ${resourceVersion}`;
    if (this.#versions.has(version)) this.violations.push(`${version} was reported twice`);
    this.#versions.add(version);
    const before = this.objects.get(name);
    if (before !== undefined && before.metadata.uid !== uid) this.violations.push(`${name} became another object without a deletion`);
    if (before !== undefined && before !== this.#before.get(name) && Number(before.metadata.resourceVersion) >= Number(resourceVersion))
      this.violations.push(`${version} goes back`);
    this.objects.set(name, object);
  };

  readonly onDelete = ({ name, uid }: ObjectReference): void => {
    this.deletes += 1;
    if (this.objects.get(name)?.metadata.uid !== uid) this.violations.push(`${name} ${uid} was deleted and was not there`);
    this.objects.delete(name);
  };

  /** Throws until it shows what the server holds. */
  equals(objects: ReadonlyMap<string, KubernetesObject>): void {
    assert.deepEqual(sorted(this.objects), sorted(objects));
    assert.deepEqual(this.violations, []);
  }
}

function sorted(objects: ReadonlyMap<string, KubernetesObject>): unknown[] {
  return [...objects].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, object]) => object);
}
