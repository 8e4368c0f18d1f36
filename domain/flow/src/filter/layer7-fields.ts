import type { EventView } from "../event.ts";
import type { DnsMessage, HttpMessage } from "../layer7/layer7.ts";
import type { FilterOptions, FlowFilter, FlowPredicate, Regex } from "./filter.ts";
import type { FieldResult } from "./filter-fields.ts";

type Values<Name extends keyof FlowFilter> = NonNullable<FlowFilter[Name]>;

/** A record of a proxy is read last: reading one takes longer than all other comparisons. */
const cost = 4;

/** `404`, `5+` for all that begin with 5, `40+`. */
export function compileStatusCodes(values: readonly string[]): FieldResult {
  const wrong = values.find((code) => !/^([1-5][0-9]{2}|[1-5][0-9]?\+)$/.test(code));
  if (wrong !== undefined) return { problem: `HTTP status ${JSON.stringify(wrong)} is neither a code (404) nor a prefix (5+)` };
  const exact = new Set(values.filter((code) => !code.endsWith("+")));
  const prefixes = values.filter((code) => code.endsWith("+")).map((code) => code.slice(0, -1));
  return httpField(({ code }) => {
    if (code === 0) return false;
    const text = String(code);
    return exact.has(text) || prefixes.some((prefix) => text.startsWith(prefix));
  });
}

/** Whatever their case. */
export function compileMethods(values: readonly string[]): FieldResult {
  const wanted = new Set(values.map((value) => value.toLowerCase()));
  return httpField(({ method }) => wanted.has(method.toLowerCase()));
}

export function compileHeaders(values: Values<"httpHeader">): FieldResult {
  return httpField(({ headers }) =>
    headers.some((header) => values.some(({ key, value }) => key === header.key && value === header.value)),
  );
}

export function compileUrls(values: readonly string[], options: FilterOptions): FieldResult {
  return compileSearch(values, options, (regexes) => httpField(({ url }) => regexes.some((regex) => regex.test(url))));
}

export function compilePaths(values: readonly string[], options: FilterOptions): FieldResult {
  return compileSearch(values, options, (regexes) =>
    httpField(({ url }) => {
      const path = pathOf(url);
      return path !== undefined && regexes.some((regex) => regex.test(path));
    }),
  );
}

export function compileDnsQueries(values: readonly string[], options: FilterOptions): FieldResult {
  const matches = (regexes: readonly Regex[]): FlowPredicate =>
    onMessage("dns", (message) => regexes.some((regex) => regex.test((message as DnsMessage).query)));
  return compileSearch(values, options, (regexes) => ({ cost, matches: matches(regexes) }));
}

export function compileTraceIds(values: readonly string[]): FieldResult {
  return { cost, matches: ({ layer7 }) => layer7 !== undefined && values.includes(layer7.traceId) };
}

/** Names of hosts, `*` for anything that may stand in one; the case and a dot at the end do not count. */
export function compileNames(
  values: readonly string[],
  options: FilterOptions,
  namesOf: (event: EventView) => readonly string[],
): FieldResult {
  const patterns: Regex[] = [];
  for (const value of values) {
    if (!/^[-_.*0-9A-Za-z]+$/.test(value)) {
      return { problem: `FQDN ${JSON.stringify(value)} is no name; letters, digits, -, _, . and * may be used` };
    }
    const name = withoutDot(value.toLowerCase()).replaceAll(".", "\\.").replaceAll(/\*+/g, "[-.0-9a-z]*");
    const compiled = options.compileRegex(`^${name}$`);
    if ("problem" in compiled) return { problem: `FQDN ${JSON.stringify(value)}: ${compiled.problem}` };
    patterns.push(compiled);
  }
  const matches = (name: string): boolean => {
    const text = withoutDot(name.toLowerCase());
    return patterns.some((pattern) => pattern.test(text));
  };
  return { cost: 3, matches: (event) => namesOf(event).some(matches) };
}

function compileSearch(values: readonly string[], options: FilterOptions, build: (regexes: readonly Regex[]) => FieldResult): FieldResult {
  const regexes: Regex[] = [];
  for (const value of values) {
    const compiled = options.compileRegex(value);
    if ("problem" in compiled) return { problem: `regular expression ${JSON.stringify(value)}: ${compiled.problem}` };
    regexes.push(compiled);
  }
  return build(regexes);
}

function httpField(matches: (message: HttpMessage) => boolean): FieldResult {
  return { cost, matches: onMessage("http", (message) => matches(message as HttpMessage)) };
}

function onMessage(protocol: "dns" | "http", matches: (message: HttpMessage | DnsMessage) => boolean): FlowPredicate {
  return ({ layer7 }) =>
    layer7 !== undefined && layer7.message.protocol === protocol && matches(layer7.message as HttpMessage | DnsMessage);
}

/** A proxy tells whole addresses or paths alone. */
function pathOf(url: string): string | undefined {
  return URL.parse(url, "http://host/")?.pathname;
}

function withoutDot(name: string): string {
  return name.endsWith(".") ? name.slice(0, -1) : name;
}
