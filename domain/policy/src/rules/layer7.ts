/** What a proxy lets through of an allowed connection: whatever one of the rules matches; of no rules, everything. */
export type Layer7 =
  | { readonly parser: "http"; readonly rules: readonly HttpRule[] }
  | { readonly parser: "kafka"; readonly rules: readonly KafkaRule[] }
  | { readonly parser: "dns"; readonly rules: readonly NameRule[] }
  /** A parser that the user names (`l7proto`), and rules that only it understands. */
  | { readonly parser: "generic"; readonly protocol: string; readonly rules: ReadonlyArray<Readonly<Record<string, string>>> };

export type Layer7Rule = Layer7["rules"][number];

/** All that is given must match. Path, method and host are regular expressions (RE2) that match the whole of it. */
export interface HttpRule {
  readonly path?: string;
  readonly method?: string;
  readonly host?: string;
  /** `Name` or `Name: value`; all must be there. */
  readonly headers?: readonly string[];
  readonly headerMatches?: readonly HttpHeaderMatch[];
}

export interface HttpHeaderMatch {
  readonly name: string;
  readonly value: string;
  /** What to do where it does not match, instead of refusing the request. */
  readonly mismatch?: "LOG" | "ADD" | "DELETE" | "REPLACE";
}

/** All that is given must match; a role stands for the API keys that it needs. */
export interface KafkaRule {
  readonly role?: "produce" | "consume";
  readonly apiKey?: string;
  readonly apiVersion?: string;
  readonly clientID?: string;
  readonly topic?: string;
}

/** Canonical (`canonicalName`). */
export type NameRule = { readonly matchName: string } | { readonly matchPattern: string };

/** Where the connections of a verdict entry go. */
export interface Redirect {
  /** `http`, `kafka`, `dns` or the name that the user gave. */
  readonly parser: string;
  /** Other parsers that rules want on the same port: nobody can take the connection. */
  readonly conflicts: readonly string[];
  /** Undefined: everything is let through, and only looked at. */
  readonly rules: readonly Layer7Rule[] | undefined;
  /** Text that is equal exactly for equal redirects. */
  readonly key: string;
}

export function parserOf(layer7: Layer7): string {
  return layer7.parser === "generic" ? layer7.protocol : layer7.parser;
}

/** What rules about one port come to; some of them say nothing of layer 7, and with that allow everything. */
export function mergeLayer7(all: ReadonlyArray<Layer7 | undefined>): Redirect | undefined {
  const given = all.filter((layer7) => layer7 !== undefined);
  const [parser, ...conflicts] = [...new Set(given.map(parserOf))].sort();
  if (parser === undefined) return undefined;
  const open = given.length < all.length || given.some(({ rules }) => rules.length === 0);
  const texts = open ? [] : [...new Set(given.flatMap(({ rules }) => rules.map((rule: Layer7Rule) => JSON.stringify(rule))))].sort();
  const rules = open ? undefined : texts.map((text): Layer7Rule => JSON.parse(text));
  return Object.freeze({ parser, conflicts, rules, key: JSON.stringify([parser, conflicts, open, texts]) });
}
