/** One thing wrong with an object, and where: `spec.ingress[0].toPorts[1].ports[0].port`. */
export interface Problem {
  readonly path: string;
  readonly message: string;
}

export type Fields = Readonly<Record<string, unknown>>;

/**
 * Reads fields of an object from outside and lists what is wrong with them. A field that is null counts as absent, as everywhere in
 * Kubernetes.
 */
export class FieldReader {
  readonly problems: Problem[] = [];

  problem(path: string, message: string): undefined {
    this.problems.push({ path, message });
    return undefined;
  }

  /** An object whose fields are all known; each unknown one is a problem. */
  object(value: unknown, path: string, known: readonly string[]): Fields | undefined {
    const fields = this.anyObject(value, path);
    for (const name of Object.keys(fields ?? {})) {
      if (!known.includes(name)) this.problem(joinPath(path, name), `unknown field; known here: ${known.join(", ")}`);
    }
    return fields;
  }

  /** An object with fields of any name. */
  anyObject(value: unknown, path: string): Fields | undefined {
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Fields;
    return this.problem(path, `must be an object, not ${describe(value)}`);
  }

  /** Undefined when absent; an empty list stays a list. */
  list(value: unknown, path: string): readonly unknown[] | undefined {
    if (value === undefined || value === null) return undefined;
    if (Array.isArray(value)) return value;
    return this.problem(path, `must be a list, not ${describe(value)}`);
  }

  string(value: unknown, path: string): string | undefined {
    if (value === undefined || value === null) return undefined;
    if (typeof value === "string") return value;
    return this.problem(path, `must be a string, not ${describe(value)}`);
  }

  boolean(value: unknown, path: string): boolean | undefined {
    if (value === undefined || value === null) return undefined;
    if (typeof value === "boolean") return value;
    return this.problem(path, `must be true or false, not ${describe(value)}`);
  }
}

export function joinPath(path: string, name: string): string {
  return path === "" ? name : `${path}.${name}`;
}

export function describe(value: unknown): string {
  if (value === null || value === undefined) return "nothing";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "an object";
  return `the ${typeof value} ${JSON.stringify(value)}`;
}
