import { isObject, type MutableJson } from "../schema/schema.ts";

type Step =
  | { readonly kind: "member"; readonly name: string }
  | { readonly kind: "index"; readonly index: number }
  | { readonly kind: "all" }
  | { readonly kind: "filter"; readonly path: readonly Step[]; readonly operator: string; readonly value: MutableJson };

/** A path of a printer column: `.spec.x`, `.a\.b`, `['a.b']`, `[0]`, `[*]`, `[?(@.type=="Ready")]`. */
export type JsonPath = readonly Step[];

const member = /^\.((?:[^.[\]\\]|\\.)+)/;
const quoted = /^\[(?:'([^']*)'|"([^"]*)")\]/;
const index = /^\[(-?\d+)\]/;
const filter = /^\[\?\(\s*@((?:\.(?:[^.[\]\\=!<>\s]|\\.)+)+)\s*(==|!=)\s*(?:'([^']*)'|"([^"]*)"|([\w.-]+))\s*\)\]/;

/** Undefined when the path is of a form that is not understood. */
export function parseJsonPath(text: string): JsonPath | undefined {
  const steps: Step[] = [];
  let rest = text
    .trim()
    .replace(/^\{(.*)\}$/s, "$1")
    .replace(/^\$/, "");
  if (rest !== "" && !/^[.[]/.test(rest)) rest = `.${rest}`;
  while (rest !== "") {
    const found = nextStep(rest);
    if (found === undefined) return undefined;
    steps.push(found.step);
    rest = rest.slice(found.size);
  }
  return steps;
}

function nextStep(rest: string): { step: Step; size: number } | undefined {
  let found = member.exec(rest);
  if (found !== null) return { step: { kind: "member", name: withoutEscapes(found[1]) }, size: found[0].length };
  found = quoted.exec(rest);
  if (found !== null) return { step: { kind: "member", name: found[1] ?? found[2] ?? "" }, size: found[0].length };
  found = index.exec(rest);
  if (found !== null) return { step: { kind: "index", index: Number(found[1]) }, size: found[0].length };
  if (rest.startsWith("[*]")) return { step: { kind: "all" }, size: 3 };
  found = filter.exec(rest);
  if (found === null) return undefined;
  const path = parseJsonPath(found[1] ?? "");
  if (path === undefined) return undefined;
  const bare = found[5];
  const value = bare === undefined ? (found[3] ?? found[4] ?? "") : bare === "true" || bare === "false" ? bare === "true" : Number(bare);
  return { step: { kind: "filter", path, operator: found[2] ?? "==", value }, size: found[0].length };
}

function withoutEscapes(text = ""): string {
  return text.replace(/\\(.)/g, "$1");
}

/** All values at the path. */
export function readJsonPath(path: JsonPath, value: MutableJson): MutableJson[] {
  let current: MutableJson[] = [value];
  for (const step of path) current = current.flatMap((one) => takeStep(step, one));
  return current;
}

function takeStep(step: Step, value: MutableJson): MutableJson[] {
  if (step.kind === "member") {
    const inner = isObject(value) && Object.hasOwn(value, step.name) ? value[step.name] : undefined;
    return inner === undefined ? [] : [inner];
  }
  if (step.kind === "all") return Array.isArray(value) ? value : isObject(value) ? Object.values(value) : [];
  if (!Array.isArray(value)) return [];
  if (step.kind === "index") {
    const inner = value.at(step.index);
    return inner === undefined ? [] : [inner];
  }
  return value.filter((item) => {
    const [found] = readJsonPath(step.path, item);
    return found !== undefined && (found === step.value) === (step.operator === "==");
  });
}
