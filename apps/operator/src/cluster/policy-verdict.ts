import type { Problem } from "@cilium-ts/kubernetes";

/** Whether an object is valid, and the words for it. */
export interface PolicyVerdict {
  readonly status: "True" | "False";
  readonly message: string;
}

const sentencesOfRuleMax = 3;
const rulesToldMax = 20;
const sentenceLengthMax = 400;

/** `spec.ingress[2]`, `specs[1].egressDeny[0]`: the rule that a field is of; of other fields the first part of their path. */
const rulePattern = /^spec(?:s\[\d+\])?\.(?:ingress|egress)(?:Deny)?\[\d+\]|^[^.[]*(?:\[\d+\])?/;

/** Invalid, with the problems of each rule: one that has many does not hide those of another. */
export function refusal(problems: readonly Problem[]): PolicyVerdict {
  const byRule = new Map<string, string[]>();
  for (const { path, message } of problems) {
    const rule = rulePattern.exec(path)?.[0] ?? "";
    const sentences = byRule.get(rule);
    const sentence = shortened(path === "" ? message : `${path}: ${message}`);
    if (sentences === undefined) byRule.set(rule, [sentence]);
    else sentences.push(sentence);
  }
  const told = [...byRule].slice(0, rulesToldMax).map(([rule, sentences]) => {
    const rest = sentences.length - sentencesOfRuleMax;
    return `${sentences.slice(0, sentencesOfRuleMax).join("; ")}${rest > 0 ? `; and ${rest} more in ${rule || "the object"}` : ""}`;
  });
  return { status: "False", message: `${told.join("; ")}${moreOf(byRule.size, "more rules have problems")}` };
}

/** Valid; what it asks for in vain is told rule by rule. */
export function approval(needs: readonly string[]): PolicyVerdict {
  const valid = "Policy validation succeeded";
  if (needs.length === 0) return { status: "True", message: valid };
  const told = needs.slice(0, rulesToldMax).map(shortened).join("; ");
  return { status: "True", message: `${valid}, but ${told}${moreOf(needs.length, "more rules ask for something in vain")}` };
}

function moreOf(count: number, what: string): string {
  return count > rulesToldMax ? `; and ${count - rulesToldMax} ${what}` : "";
}

/** Users' own texts stand in what is said of them. */
function shortened(sentence: string): string {
  return sentence.length > sentenceLengthMax ? `${sentence.slice(0, sentenceLengthMax - 1)}…` : sentence;
}
