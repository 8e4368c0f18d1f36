import { type Token, tokenize } from "./tokens.ts";

export interface SourceImport {
  /** As written: `node:fs`, `./table.ts`, `@cilium-ts/net`; undefined for an `import()` of something computed. */
  readonly specifier: string | undefined;
  readonly line: number;
  /** Names taken, `*` for all of them; empty for an import for its effects and for `import()`. */
  readonly names: readonly string[];
}

export interface SourceFacts {
  readonly imports: readonly SourceImport[];
  /** Uses of members of the global `process`, such as `env`. */
  readonly processMembers: readonly { readonly name: string; readonly line: number }[];
  /** Calls by which a native addon could be loaded: `createRequire`, `dlopen`. */
  readonly nativeLoads: readonly { readonly name: string; readonly line: number }[];
}

/** What the text of a TypeScript or JavaScript module imports and touches. */
export function readSourceFacts(source: string): SourceFacts {
  const tokens = tokenize(source);
  const imports: SourceImport[] = [];
  const processMembers: { name: string; line: number }[] = [];
  const nativeLoads: { name: string; line: number }[] = [];
  for (const [index, token] of tokens.entries()) {
    if (token.kind !== "word" || isMember(tokens, index)) continue;
    const found = token.value === "import" ? readImport(tokens, index) : token.value === "export" ? readReexport(tokens, index) : undefined;
    if (found !== undefined) imports.push(found);
    if (token.value === "require" && valueAt(tokens, index + 1) === "(") imports.push(readCall(tokens, index));
    if (token.value === "process") {
      const name = readMember(tokens, index);
      if (name === "dlopen") nativeLoads.push({ name: "process.dlopen", line: token.line });
      else if (name !== undefined) processMembers.push({ name, line: token.line });
    }
    if (token.value === "createRequire" && valueAt(tokens, index + 1) === "(") nativeLoads.push({ name: token.value, line: token.line });
  }
  return { imports, processMembers, nativeLoads };
}

/** A name behind a dot, or a key of an object: `x.import`, `{ export: 1 }`. */
function isMember(tokens: readonly Token[], index: number): boolean {
  return valueAt(tokens, index - 1) === "." || valueAt(tokens, index + 1) === ":";
}

function readImport(tokens: readonly Token[], index: number): SourceImport | undefined {
  const next = tokens[index + 1];
  if (next === undefined || next.value === ".") return undefined;
  if (next.value === "(" && next.kind === "mark") return readCall(tokens, index);
  if (next.kind === "text") return { specifier: next.value, line: next.line, names: [] };
  return readClause(tokens, index);
}

function readReexport(tokens: readonly Token[], index: number): SourceImport | undefined {
  const first = valueAt(tokens, index + 1) === "type" ? valueAt(tokens, index + 2) : valueAt(tokens, index + 1);
  return first === "{" || first === "*" ? readClause(tokens, index) : undefined;
}

/** From `import` or `export` over the names to `from` and its text. A list without `from` is a local export. */
function readClause(tokens: readonly Token[], index: number): SourceImport | undefined {
  const names: string[] = [];
  let isInBraces = false;
  for (let at = index + 1; at < tokens.length; at += 1) {
    const token = tokens[at];
    if (token === undefined || token.value === ";" || token.value === "=") return undefined;
    if (token.value === "{") isInBraces = true;
    else if (token.value === "}") {
      isInBraces = false;
      // A local export ends here.
      if (valueAt(tokens, at + 1) !== "from") return undefined;
    } else if (token.value === "from" && !isInBraces && tokens[at + 1]?.kind === "text") {
      return { specifier: tokens[at + 1]?.value, line: token.line, names };
    } else if (token.value === "*") names.push("*");
    else if (token.kind === "word" && isInBraces && isFirstName(tokens, at)) names.push(token.value);
    else if (token.kind === "word" && !isInBraces && token.value !== "type" && token.value !== "as" && names.length === 0)
      names.push("default");
  }
  return undefined;
}

/** Of `type a as b` the name taken is `a`. */
function isFirstName(tokens: readonly Token[], at: number): boolean {
  const [before, value, after] = [valueAt(tokens, at - 1), valueAt(tokens, at), valueAt(tokens, at + 1)];
  if (value === "type" && after !== "," && after !== "}" && after !== "as") return false;
  return before === "{" || before === "," || (before === "type" && value !== "as");
}

function readCall(tokens: readonly Token[], index: number): SourceImport {
  const parameter = tokens[index + 2];
  const isConstant = parameter?.kind === "text" && [")", ","].includes(valueAt(tokens, index + 3));
  return { specifier: isConstant ? parameter.value : undefined, line: tokens[index]?.line ?? 1, names: [] };
}

/** `process.env`, `process?.env`, `process["env"]` */
function readMember(tokens: readonly Token[], index: number): string | undefined {
  let at = index + 1;
  if (valueAt(tokens, at) === "?") at += 1;
  if (valueAt(tokens, at) === ".") at += 1;
  else if (valueAt(tokens, at) !== "[") return undefined;
  if (valueAt(tokens, at) === "[") at += 1;
  const token = tokens[at];
  return token?.kind === "word" || token?.kind === "text" ? token.value : undefined;
}

function valueAt(tokens: readonly Token[], index: number): string {
  return tokens[index]?.value ?? "";
}
