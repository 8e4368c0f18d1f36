import type { DescMessage } from "@bufbuild/protobuf";
import { FlowSchema } from "../gen/flow/flow_pb.js";

/** Which fields of a message are wanted: all of them, or those that are named. */
export class FieldMask {
  static readonly everything = new FieldMask(undefined);

  readonly #children: Map<string, FieldMask> | undefined;

  private constructor(children: Map<string, FieldMask> | undefined) {
    this.#children = children;
  }

  /** Reads paths such as `source.identity`, which are relative to Flow. No path at all means everything. */
  static parse(paths: readonly string[]): { readonly mask: FieldMask } | { readonly problem: string } {
    if (paths.length === 0) return { mask: FieldMask.everything };
    const root = new FieldMask(new Map());
    for (const path of paths) {
      const problem = root.#add(path.split("."), FlowSchema, path);
      if (problem !== undefined) return { problem };
    }
    return { mask: root };
  }

  get isWhole(): boolean {
    return this.#children === undefined;
  }

  has(name: string): boolean {
    return this.#children === undefined || this.#children.has(name);
  }

  /** What is wanted of a field that is a message; undefined when nothing is. */
  of(name: string): FieldMask | undefined {
    return this.#children === undefined ? FieldMask.everything : this.#children.get(name);
  }

  #add(names: readonly string[], message: DescMessage, path: string): string | undefined {
    let node: FieldMask = this;
    let desc: DescMessage | undefined = message;
    for (const [index, name] of names.entries()) {
      const field: DescMessage["fields"][number] | undefined = desc?.fields.find((candidate) => candidate.name === name);
      if (field === undefined) {
        const where = desc === undefined ? "which has no fields" : `which has ${desc.fields.map((known) => known.name).join(", ")}`;
        const parent = index === 0 ? "flow.Flow" : names.slice(0, index).join(".");
        return `field mask path ${JSON.stringify(path)}: no field ${JSON.stringify(name)} in ${parent}, ${where}`;
      }
      if (node.#children === undefined) return undefined; // A longer path adds nothing to the whole.
      const last = index === names.length - 1;
      const known = node.#children.get(name);
      const next: FieldMask = last ? FieldMask.everything : (known ?? new FieldMask(new Map()));
      node.#children.set(name, next);
      node = next;
      desc = field.fieldKind === "message" ? field.message : undefined;
    }
    return undefined;
  }
}
