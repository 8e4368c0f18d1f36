/** The part of CEL that `rule.ts` evaluates. */
export type Expression =
  | { readonly kind: "literal"; readonly value: unknown }
  | { readonly kind: "list"; readonly items: readonly Expression[] }
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "member" | "has"; readonly of: Expression; readonly name: string }
  | { readonly kind: "not"; readonly of: Expression }
  | { readonly kind: "choice"; readonly when: Expression; readonly yes: Expression; readonly no: Expression }
  | { readonly kind: "call"; readonly name: string; readonly of: Expression; readonly arguments: readonly Expression[] }
  | { readonly kind: "binary"; readonly operator: BinaryOperator; readonly left: Expression; readonly right: Expression };

type BinaryOperator = "||" | "&&" | "==" | "!=" | "<=" | ">=" | "<" | ">" | "in";

const token = /\s*(?:(\d+(?:\.\d+)?)|("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|([A-Za-z_][A-Za-z0-9_]*)|(\|\||&&|==|!=|<=|>=|[<>!?:().,[\]]))/y;
const lengthMax = 4_096;

/** Undefined when the text is outside of the part that is understood. */
export function parseExpression(text: string): Expression | undefined {
  if (text.length > lengthMax) return undefined;
  const tokens: string[] = [];
  token.lastIndex = 0;
  const end = text.trimEnd().length;
  while (token.lastIndex < end) {
    const found = token.exec(text);
    if (found === null) return undefined;
    tokens.push(found[0].trim());
  }
  try {
    const reader = new Reader(tokens);
    const expression = reader.choice();
    return reader.atEnd() ? expression : undefined;
  } catch {
    return undefined;
  }
}

class Reader {
  readonly #tokens: readonly string[];
  #index = 0;

  constructor(tokens: readonly string[]) {
    this.#tokens = tokens;
  }

  atEnd(): boolean {
    return this.#index === this.#tokens.length;
  }

  choice(): Expression {
    const when = this.#binary(0);
    if (!this.#take("?")) return when;
    const yes = this.choice();
    this.#expect(":");
    return { kind: "choice", when, yes, no: this.choice() };
  }

  #binary(level: number): Expression {
    const levels: readonly (readonly BinaryOperator[])[] = [["||"], ["&&"], ["==", "!=", "<=", ">=", "<", ">", "in"]];
    const operators = levels[level];
    if (operators === undefined) return this.#unary();
    let left = this.#binary(level + 1);
    for (;;) {
      const operator = operators.find((candidate) => this.#take(candidate));
      if (operator === undefined) return left;
      left = { kind: "binary", operator, left, right: this.#binary(level + 1) };
    }
  }

  #unary(): Expression {
    return this.#take("!") ? { kind: "not", of: this.#unary() } : this.#postfix(this.#primary());
  }

  #postfix(start: Expression): Expression {
    let of = start;
    while (this.#take(".")) {
      const name = this.#next();
      if (!this.#take("(")) of = { kind: "member", of, name };
      else of = this.#call(name, of);
    }
    return of;
  }

  #call(name: string, of: Expression): Expression {
    if (!["size", "startsWith", "endsWith", "contains"].includes(name)) throw new SyntaxError(name);
    return { kind: "call", name, of, arguments: this.#list(")") };
  }

  #list(close: string): Expression[] {
    const items: Expression[] = [];
    if (this.#take(close)) return items;
    do items.push(this.choice());
    while (this.#take(","));
    this.#expect(close);
    return items;
  }

  #primary(): Expression {
    const next = this.#next();
    if (next === "(") {
      const inner = this.choice();
      this.#expect(")");
      return inner;
    }
    if (next === "[") return { kind: "list", items: this.#list("]") };
    if (/^\d/.test(next)) return { kind: "literal", value: Number(next) };
    if (/^["']/.test(next)) return { kind: "literal", value: next.slice(1, -1).replace(/\\(.)/g, "$1") };
    if (next === "true" || next === "false") return { kind: "literal", value: next === "true" };
    if (next === "null") return { kind: "literal", value: null };
    if (next === "has" || next === "size") return this.#function(next);
    if (next === "self" || next === "oldSelf") return { kind: "name", name: next };
    throw new SyntaxError(next);
  }

  #function(name: "has" | "size"): Expression {
    this.#expect("(");
    const inner = this.choice();
    this.#expect(")");
    if (name === "size") return { kind: "call", name, of: inner, arguments: [] };
    if (inner.kind !== "member") throw new SyntaxError(name);
    return { kind: "has", of: inner.of, name: inner.name };
  }

  #take(text: string): boolean {
    if (this.#tokens[this.#index] !== text) return false;
    this.#index += 1;
    return true;
  }

  #next(): string {
    const next = this.#tokens[this.#index];
    if (next === undefined) throw new SyntaxError("end");
    this.#index += 1;
    return next;
  }

  #expect(text: string): void {
    if (!this.#take(text)) throw new SyntaxError(text);
  }
}
