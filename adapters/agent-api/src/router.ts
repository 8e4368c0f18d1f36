import type { Answer } from "./answer.ts";

export type Method = "GET" | "PUT" | "POST" | "PATCH" | "DELETE";

/** The names in braces of a path. */
type ParameterNames<Path extends string> = Path extends `${string}{${infer Name}}${infer Rest}` ? Name | ParameterNames<Rest> : never;

export interface ApiRequest<Names extends string = string> {
  /** Decoded. */
  readonly parameters: Readonly<Record<Names, string>>;
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Parsed JSON; undefined when the request had no body. */
  readonly body: unknown;
  readonly signal: AbortSignal;
}

export interface Route {
  readonly method: Method;
  /** As in `/endpoint/{id}/log`, below the base path. */
  readonly path: string;
  readonly handle: (request: ApiRequest) => Promise<Answer>;
  /** What the caller is told when the request never reached its handler, or the handler threw. Undefined: the usual form. */
  readonly problemBody: ((status: number, message: string) => unknown) | undefined;
}

/** The handler may ask for exactly the parameters that the path names. */
export function route<Path extends string>(
  method: Method,
  path: Path,
  handle: (request: ApiRequest<ParameterNames<Path>>) => Promise<Answer>,
  options: { problemBody?: Route["problemBody"] } = {},
): Route {
  return { method, path, handle, problemBody: options.problemBody };
}

export type Match =
  | { readonly kind: "route"; readonly route: Route; readonly parameters: Readonly<Record<string, string>> }
  | { readonly kind: "other-method"; readonly allowed: readonly Method[] }
  | { readonly kind: "none" }
  | { readonly kind: "bad-escape" };

interface Branch {
  readonly fixed: Map<string, Branch>;
  parameter: { readonly name: string; readonly branch: Branch } | undefined;
  readonly routes: Map<string, Route>;
}

/** Finds the route of a path, a fixed word before a parameter. */
export class Router {
  readonly #root = createBranch();

  constructor(routes: readonly Route[]) {
    for (const added of routes) this.#add(added);
  }

  /** The path is as it came, still escaped, below the base path. */
  match(method: string, path: string): Match {
    const words: string[] = [];
    for (const word of wordsOf(path)) {
      try {
        words.push(decodeURIComponent(word));
      } catch {
        return { kind: "bad-escape" };
      }
    }
    const parameters: Record<string, string> = {};
    const branch = find(this.#root, words, 0, parameters);
    if (branch === undefined) return { kind: "none" };
    const matched = branch.routes.get(method);
    if (matched === undefined) return { kind: "other-method", allowed: [...branch.routes.values()].map((known) => known.method) };
    return { kind: "route", route: matched, parameters };
  }

  #add(added: Route): void {
    let branch = this.#root;
    for (const word of wordsOf(added.path)) {
      const name = /^\{(.+)\}$/.exec(word)?.[1];
      if (name === undefined) {
        const next = branch.fixed.get(word) ?? createBranch();
        branch.fixed.set(word, next);
        branch = next;
      } else {
        branch.parameter ??= { name, branch: createBranch() };
        if (branch.parameter.name !== name) throw new Error(`${added.path}: another route calls {${name}} {${branch.parameter.name}}`);
        branch = branch.parameter.branch;
      }
    }
    if (branch.routes.has(added.method)) throw new Error(`${added.method} ${added.path} is routed twice`);
    branch.routes.set(added.method, added);
  }
}

function createBranch(): Branch {
  return { fixed: new Map(), parameter: undefined, routes: new Map() };
}

function wordsOf(path: string): string[] {
  return path.split("/").filter((word) => word !== "");
}

function find(branch: Branch, words: readonly string[], at: number, parameters: Record<string, string>): Branch | undefined {
  const word = words[at];
  if (word === undefined) return branch.routes.size > 0 ? branch : undefined;
  const fixed = branch.fixed.get(word);
  const direct = fixed === undefined ? undefined : find(fixed, words, at + 1, parameters);
  if (direct !== undefined || branch.parameter === undefined) return direct;
  const behind = find(branch.parameter.branch, words, at + 1, parameters);
  if (behind !== undefined) parameters[branch.parameter.name] = word;
  return behind;
}
