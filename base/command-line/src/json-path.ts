import { isRecord } from "@cilium-ts/std";
/** kubectl's templates: text, and in braces a path, a quoted text, or `range PATH` up to `end`. */
export type JsonPathTemplate = readonly Part[];

type Part =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "path"; readonly steps: readonly Step[] }
  | { readonly kind: "range"; readonly steps: readonly Step[]; readonly parts: JsonPathTemplate };

type Step =
  | { readonly kind: "member"; readonly names: readonly string[] }
  | { readonly kind: "slice"; readonly from: number | undefined; readonly to: number | undefined }
  | { readonly kind: "index"; readonly index: number }
  | { readonly kind: "all" }
  | { readonly kind: "descend" }
  | { readonly kind: "filter"; readonly steps: readonly Step[]; readonly operator: string; readonly value: unknown };

/** Of braces inside each other, and of ranges. */
const depthMax = 16;

/** Throws with what is wrong, and where. */
export function parseJsonPath(template: string): JsonPathTemplate {
  const open: { readonly steps: readonly Step[]; readonly parts: Part[] }[] = [{ steps: [], parts: [] }];
  const add = (part: Part): void => void open.at(-1)?.parts.push(part);
  for (const token of tokensOf(template)) {
    if (token.kind === "text") {
      add(token);
      continue;
    }
    const code = token.text.trim();
    const quoted = /^"((?:[^"\\]|\\.)*)"$|^'((?:[^'\\]|\\.)*)'$/.exec(code);
    if (quoted !== null) add({ kind: "text", text: unescaped(quoted[1] ?? quoted[2] ?? "") });
    else if (code === "end") {
      const range = open.length > 1 ? open.pop() : undefined;
      if (range === undefined) throw new Error("{end} stands without a {range}");
      add({ kind: "range", steps: range.steps, parts: range.parts });
    } else if (/^range\s/.test(code)) {
      if (open.length > depthMax) throw new Error(`ranges are nested more than ${depthMax} deep`);
      open.push({ steps: parsePath(code.slice("range".length).trim()), parts: [] });
    } else add({ kind: "path", steps: parsePath(code) });
  }
  const [root] = open;
  if (root === undefined || open.length > 1) throw new Error("a {range} has no {end}");
  return root.parts;
}

/** Texts as they are, other values as JSON; several values of one path with a space between them. */
export function renderJsonPath(template: JsonPathTemplate, root: unknown): string {
  return render(template, root, root);
}

function render(template: JsonPathTemplate, value: unknown, root: unknown): string {
  return template
    .map((part) => {
      if (part.kind === "text") return part.text;
      const values = read(part.steps, value);
      if (part.kind === "path") return values.map(valueText).join(" ");
      return values.map((item) => render(part.parts, item, root)).join("");
    })
    .join("");
}

function valueText(value: unknown): string {
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "");
}

function* tokensOf(
  template: string,
): Generator<{ readonly kind: "text"; readonly text: string } | { readonly kind: "code"; readonly text: string }> {
  let rest = template;
  while (rest !== "") {
    const start = rest.indexOf("{");
    if (start !== 0) yield { kind: "text", text: start < 0 ? rest : rest.slice(0, start) };
    if (start < 0) return;
    // A brace inside of quotes is none.
    const found = /^\{((?:[^{}"']|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')*)\}/.exec(rest.slice(start));
    if (found === null) throw new Error(`a { has no } in ${JSON.stringify(rest.slice(start, start + 40))}`);
    yield { kind: "code", text: found[1] ?? "" };
    rest = rest.slice(start + found[0].length);
  }
}

const patterns: ReadonlyArray<readonly [RegExp, (match: RegExpExecArray) => Step]> = [
  [/^\.\.(?=[^.[\]])/, () => ({ kind: "descend" })],
  [/^\.?\*/, () => ({ kind: "all" })],
  [/^\.?((?:[^.[\]\\*'"\s]|\\.)+)/, ([, name = ""]) => ({ kind: "member", names: [unescaped(name)] })],
  [/^\.?\[\*\]/, () => ({ kind: "all" })],
  [/^\.?\[(-?\d+)\]/, ([, index]) => ({ kind: "index", index: Number(index) })],
  [/^\.?\[(-?\d*):(-?\d*)\]/, ([, from = "", to = ""]) => ({ kind: "slice", from: numberOr(from), to: numberOr(to) })],
  [
    /^\.?\[\s*((?:'[^']*'|"[^"]*")(?:\s*,\s*(?:'[^']*'|"[^"]*"))*)\s*\]/,
    ([, names = ""]) => ({
      kind: "member",
      names: [...names.matchAll(/'([^']*)'|"([^"]*)"/g)].map(([, one, other]) => one ?? other ?? ""),
    }),
  ],
  [
    /^\.?\[\?\(\s*@([^=!<>)]*?)\s*(?:(==|!=|<=|>=|<|>)\s*('[^']*'|"[^"]*"|[\w.+-]+)\s*)?\)\]/,
    ([, path = "", operator = "", value = ""]) => ({ kind: "filter", steps: parsePath(path), operator, value: literal(value) }),
  ],
];

function parsePath(text: string): Step[] {
  const steps: Step[] = [];
  let rest = text.replace(/^[$@]/, "").replace(/^\.$/, "");
  while (rest !== "") {
    const step = nextStep(rest);
    if (step === undefined) throw new Error(`${JSON.stringify(rest)} is no path such as .items[*].name`);
    steps.push(step.step);
    rest = rest.slice(step.size);
  }
  return steps;
}

function nextStep(rest: string): { step: Step; size: number } | undefined {
  for (const [pattern, make] of patterns) {
    const match = pattern.exec(rest);
    if (match !== null) return { step: make(match), size: match[0].length };
  }
  return undefined;
}

function numberOr(text: string): number | undefined {
  return text === "" ? undefined : Number(text);
}

function literal(text: string): unknown {
  if (/^['"]/.test(text)) return text.slice(1, -1);
  if (text === "true" || text === "false") return text === "true";
  return Number(text);
}

function unescaped(text: string): string {
  const controls: Readonly<Record<string, string>> = { n: "\n", t: "\t", r: "\r" };
  return text.replace(/\\(.)/g, (_, character: string) => controls[character] ?? character);
}

function read(steps: readonly Step[], value: unknown): unknown[] {
  let current: unknown[] = [value];
  for (const step of steps) current = current.flatMap((one) => take(step, one));
  return current;
}

function take(step: Step, value: unknown): readonly unknown[] {
  switch (step.kind) {
    case "member":
      return step.names.flatMap((name) => (isRecord(value) && Object.hasOwn(value, name) ? [value[name]] : []));
    case "all":
      return Array.isArray(value) ? value : isRecord(value) ? Object.values(value) : [];
    case "index":
      return Array.isArray(value) && value.length > (step.index < 0 ? -step.index - 1 : step.index) ? [value.at(step.index)] : [];
    case "slice":
      return Array.isArray(value) ? value.slice(step.from, step.to) : [];
    case "descend":
      return [value, ...(Array.isArray(value) ? value : isRecord(value) ? Object.values(value) : []).flatMap((inner) => take(step, inner))];
    case "filter":
      return Array.isArray(value) ? value.filter((item) => passes(step, item)) : [];
  }
}

function passes({ steps, operator, value }: Extract<Step, { kind: "filter" }>, item: unknown): boolean {
  const [found] = read(steps, item);
  if (operator === "" || found === undefined) return operator === "" && found !== undefined;
  if (operator === "==" || operator === "!=") return (found === value) === (operator === "==");
  if (typeof found !== typeof value) return false;
  const [left, right] = [found as number, value as number]; // Texts are compared as texts.
  if (operator === "<") return left < right;
  if (operator === "<=") return left <= right;
  return operator === ">" ? left > right : left >= right;
}
