import { parseSourcedKey, type Requirement, Selector, type SelectorOperator } from "@cilium-ts/labels";

const sources = new Set(["unspec", "any", "k8s", "container", "cni", "reserved", "cidr", "cidrgroup", "node", "fqdn", "directory"]);

export type ParsedSelector = { readonly selector: Selector } | { readonly problem: string };

/**
 * Reads a selector as `kubectl -l` takes it: `a=b`, `a==b`, `a!=b`, `a in (b,c)`, `a notin (b)`, `a`, `!a`, joined by commas. Keys may
 * have one of Cilium's sources in front (`k8s:app`); those without match labels of any source.
 */
export function parseLabelSelector(text: string): ParsedSelector {
  const requirements: Requirement[] = [];
  for (const part of splitOutsideParentheses(text)) {
    const requirement = parseRequirement(part.trim());
    if (requirement === undefined) {
      return {
        problem: `label selector ${JSON.stringify(text)}: cannot read ${JSON.stringify(part.trim())}; write key=value, key in (a,b), key or !key`,
      };
    }
    requirements.push(requirement);
  }
  return { selector: Selector.ofRequirements(requirements) };
}

function parseRequirement(text: string): Requirement | undefined {
  const set = /^(\S+)\s+(in|notin)\s*\(([^()]*)\)$/.exec(text);
  if (set !== null) {
    const [, key = "", operator = "", list = ""] = set;
    const values = list.split(",").map((value) => value.trim());
    return requirementOf(key, operator === "in" ? "In" : "NotIn", values);
  }
  const equality = /^([^\s=!()]+)\s*(==|=|!=)\s*([^\s=!(),]*)$/.exec(text);
  if (equality !== null) {
    const [, key = "", operator = "", value = ""] = equality;
    return requirementOf(key, operator === "!=" ? "NotIn" : "In", [value]);
  }
  if (text.startsWith("!")) return requirementOf(text.slice(1).trim(), "DoesNotExist", []);
  return requirementOf(text, "Exists", []);
}

function requirementOf(text: string, operator: SelectorOperator, values: readonly string[]): Requirement | undefined {
  if (!/^[A-Za-z0-9][-A-Za-z0-9_./:]*$/.test(text)) return undefined;
  const sourced = parseSourcedKey(text, "any");
  const { source, key } = sources.has(sourced.source) ? sourced : { source: "any", key: text };
  return key === "" ? undefined : { source, key, operator, values: [...new Set(values)].sort() };
}

function splitOutsideParentheses(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let index = 0; index < text.length; index += 1) {
    const character = text[index];
    if (character === "(") depth += 1;
    else if (character === ")") depth -= 1;
    else if (character === "," && depth === 0) {
      parts.push(text.slice(start, index));
      start = index + 1;
    }
  }
  parts.push(text.slice(start));
  return parts;
}
