import type { Label } from "@cilium-ts/labels";

/** Of a DNS name or a pattern of names. */
export const nameCharactersMax = 255;

/** DNS names without a case and without the root's dot. */
export function canonicalName(name: string): string {
  const lower = name.toLowerCase();
  return lower.endsWith(".") ? lower.slice(0, -1) : lower;
}

/** `fqdn:*.example.com`: of the identity of an address with a name that the pattern means. */
export function nameLabel(pattern: string): Label {
  return { source: "fqdn", key: pattern, value: "" };
}

/** Undefined: fine. `pattern`: it may have asterisks. */
export function nameProblem(name: string, kind: "name" | "pattern"): string | undefined {
  const letters = kind === "name" ? "letters, digits, '-', '_' and '.'" : "letters, digits, '-', '_', '.' and '*'";
  if (name.length > nameCharactersMax) return `has more than ${nameCharactersMax} characters`;
  const allowed = kind === "name" ? /^[-a-zA-Z0-9_.]+$/ : /^[-a-zA-Z0-9_.*]+$/;
  const shown = JSON.stringify(name);
  if (!allowed.test(name)) return `${shown} is no ${kind} of DNS; write ${letters}`;
  if (name.startsWith(".") || name.includes("..")) return `${shown} has an empty label; every dot stands behind a label`;
  return undefined;
}

/**
 * Whether the pattern means the name, both canonical. `*` stands for any characters of one label, also for none, and never for a dot;
 * a lone `*` means every name. Takes time in proportion to the two lengths multiplied, whatever the pattern.
 */
export function matchesPattern(pattern: string, name: string): boolean {
  if (pattern === "*") return true;
  let [p, n] = [0, 0];
  /** Where to go on when what follows the last asterisk did not match: behind it, with one character more inside it. */
  let [retryP, retryN] = [-1, -1];
  while (n < name.length) {
    if (pattern[p] === "*") {
      p += 1;
      [retryP, retryN] = [p, n];
    } else if (pattern[p] === name[n]) {
      p += 1;
      n += 1;
    } else if (retryP >= 0 && name[retryN] !== ".") {
      retryN += 1;
      [p, n] = [retryP, retryN];
    } else return false;
  }
  while (pattern[p] === "*") p += 1;
  return p === pattern.length;
}
