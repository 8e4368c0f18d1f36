import {
  canonicalName,
  type HttpHeaderMatch,
  type HttpRule,
  type KafkaRule,
  type Layer7,
  type NameRule,
  nameProblem,
} from "@cilium-ts/policy";
import { describe, type FieldReader, type Fields, joinPath } from "./object-fields.ts";
import { isPresent } from "./policy-object.ts";

const ruleLists = ["http", "kafka", "dns", "l7"] as const;

/** The `rules` of a toPorts item. Undefined: none, or after a problem. */
export function parseLayer7(value: unknown, path: string, direction: "ingress" | "egress", reader: FieldReader): Layer7 | undefined {
  if (!isPresent(value)) return undefined;
  const fields = reader.object(value, path, [...ruleLists, "l7proto"]);
  if (fields === undefined) return undefined;
  const [first, second] = ruleLists.filter((name) => isPresent(fields[name]));
  if (first !== undefined && second !== undefined) {
    return reader.problem(joinPath(path, second), `cannot stand beside ${first}: a port has one kind of rules; write an item for each`);
  }
  if (isPresent(fields.l7proto) || first === "l7") return parseGeneric(fields, path, first, reader);
  if (first === undefined) return undefined;
  const listPath = joinPath(path, first);
  const items = <Rule>(parse: (item: unknown, path: string, reader: FieldReader) => Rule | undefined): Rule[] =>
    (reader.list(fields[first], listPath) ?? [])
      .map((item, index) => parse(item, `${listPath}[${index}]`, reader))
      .filter((rule) => rule !== undefined);
  switch (first) {
    case "http":
      return { parser: "http", rules: items(parseHttp) };
    case "kafka":
      return { parser: "kafka", rules: items(parseKafka) };
    case "dns":
      if (direction === "ingress") return reader.problem(listPath, "is about what endpoints ask for, and stands in egress alone");
      return { parser: "dns", rules: items(parseNameRule) };
  }
}

/** `matchName` or `matchPattern`, one of them. */
export function parseNameRule(value: unknown, path: string, reader: FieldReader): NameRule | undefined {
  const fields = reader.object(value, path, ["matchName", "matchPattern"]);
  if (fields === undefined) return undefined;
  const [name, pattern] = [reader.string(fields.matchName, joinPath(path, "matchName")), fields.matchPattern];
  if (isPresent(fields.matchName) === isPresent(pattern)) return reader.problem(path, "must have matchName or matchPattern, one of them");
  if (isPresent(fields.matchName)) {
    const problem = name === undefined ? undefined : nameProblem(name, "name");
    if (name === undefined || problem !== undefined) return reader.problem(joinPath(path, "matchName"), problem ?? "must be a string");
    return { matchName: canonicalName(name) };
  }
  const patternPath = joinPath(path, "matchPattern");
  const text = reader.string(pattern, patternPath);
  if (text === undefined) return undefined;
  const problem = nameProblem(text, "pattern");
  return problem === undefined ? { matchPattern: canonicalName(text) } : reader.problem(patternPath, problem);
}

const expressionFields = ["path", "method", "host"] as const;

function parseHttp(value: unknown, path: string, reader: FieldReader): HttpRule | undefined {
  const fields = reader.object(value, path, [...expressionFields, "headers", "headerMatches"]);
  if (fields === undefined) return undefined;
  const rule: Record<string, unknown> = {};
  for (const name of expressionFields) {
    const text = parseExpression(fields[name], joinPath(path, name), reader);
    if (text !== undefined && text !== "") rule[name] = text;
  }
  const headers = parseHeaders(fields.headers, joinPath(path, "headers"), reader);
  if (headers.length > 0) rule.headers = headers;
  const matches = parseHeaderMatches(fields.headerMatches, joinPath(path, "headerMatches"), reader);
  if (matches.length > 0) rule.headerMatches = matches;
  return rule;
}

const expressionCharactersMax = 1_024;
/** What JavaScript's expressions have and RE2 has not: such an expression could take exponential time. */
const beyondRe2 = /\(\?(?:[=!]|<[=!])|\\[1-9]|\\k</;

function parseExpression(value: unknown, path: string, reader: FieldReader): string | undefined {
  const text = reader.string(value, path);
  if (text === undefined) return undefined;
  if (text.length > expressionCharactersMax) return reader.problem(path, `has more than ${expressionCharactersMax} characters`);
  if (beyondRe2.test(text)) return reader.problem(path, "looks around or back; regular expressions here are those of RE2, which cannot");
  try {
    new RegExp(text.replace(/^\(\?i\)/, ""));
    return text;
  } catch {
    return reader.problem(path, `${JSON.stringify(text)} is no regular expression`);
  }
}

/** A token of RFC 9110. */
const headerNamePattern = /^[-!#$%&'*+.^_`|~0-9A-Za-z]+$/;

function parseHeaders(value: unknown, path: string, reader: FieldReader): string[] {
  return (reader.list(value, path) ?? []).flatMap((item, index) => {
    const itemPath = `${path}[${index}]`;
    const text = reader.string(item, itemPath) ?? "";
    const name = (text.split(/[ :]/, 1)[0] ?? "").trim();
    if (headerNamePattern.test(name)) return [text];
    reader.problem(itemPath, `${describe(item)} is no header; write "Name" or "Name: value"`);
    return [];
  });
}

const mismatches = ["LOG", "ADD", "DELETE", "REPLACE"] as const;

function parseHeaderMatches(value: unknown, path: string, reader: FieldReader): HttpHeaderMatch[] {
  return (reader.list(value, path) ?? []).flatMap((item, index) => {
    const itemPath = `${path}[${index}]`;
    const fields = reader.object(item, itemPath, ["mismatch", "name", "secret", "value"]);
    if (fields === undefined) return [];
    const name = reader.string(fields.name, joinPath(itemPath, "name")) ?? "";
    if (!headerNamePattern.test(name)) reader.problem(joinPath(itemPath, "name"), `${JSON.stringify(name)} is no name of a header`);
    if (isPresent(fields.secret)) {
      reader.problem(joinPath(itemPath, "secret"), "is not supported yet: values from Secrets are not read; write the value");
    }
    const mismatch = mismatches.find((known) => known === fields.mismatch);
    if (isPresent(fields.mismatch) && mismatch === undefined)
      reader.problem(joinPath(itemPath, "mismatch"), `must be one of ${mismatches.join(", ")}, not ${describe(fields.mismatch)}`);
    const text = reader.string(fields.value, joinPath(itemPath, "value")) ?? "";
    return [{ name, value: text, ...(mismatch !== undefined && { mismatch }) }];
  });
}

const kafkaFields = ["role", "apiKey", "apiVersion", "clientID", "topic"] as const;
const topicPattern = /^[a-zA-Z0-9._-]{1,255}$/;

function parseKafka(value: unknown, path: string, reader: FieldReader): KafkaRule | undefined {
  const fields = reader.object(value, path, kafkaFields);
  if (fields === undefined) return undefined;
  const rule: Record<string, string> = {};
  for (const name of kafkaFields) {
    const text = reader.string(fields[name], joinPath(path, name));
    if (text !== undefined && text !== "") rule[name] = text;
  }
  if (rule.role !== undefined && rule.role !== "produce" && rule.role !== "consume")
    reader.problem(joinPath(path, "role"), `must be produce or consume, not ${JSON.stringify(rule.role)}`);
  if (rule.role !== undefined && rule.apiKey !== undefined)
    reader.problem(joinPath(path, "apiKey"), "cannot stand beside role, which stands for the keys that it needs");
  if (rule.apiVersion !== undefined && !/^(0|[1-9][0-9]{0,4})$/.test(rule.apiVersion))
    reader.problem(joinPath(path, "apiVersion"), `${JSON.stringify(rule.apiVersion)} is no version; write a number in quotes`);
  if (rule.topic !== undefined && !topicPattern.test(rule.topic))
    reader.problem(
      joinPath(path, "topic"),
      `${JSON.stringify(rule.topic)} is no topic; write at most 255 letters, digits, '.', '_' and '-'`,
    );
  return rule;
}

function parseGeneric(fields: Fields, path: string, list: string | undefined, reader: FieldReader): Layer7 | undefined {
  if (list !== undefined && list !== "l7")
    return reader.problem(joinPath(path, list), "cannot stand beside l7proto: rules of a parser that is named are in l7");
  const protocol = reader.string(fields.l7proto, joinPath(path, "l7proto")) ?? "";
  if (!/^[a-zA-Z0-9][-._a-zA-Z0-9]{0,62}$/.test(protocol))
    return reader.problem(joinPath(path, "l7proto"), "must name the parser that understands the rules in l7");
  const listPath = joinPath(path, "l7");
  const rules = (reader.list(fields.l7, listPath) ?? []).map((item, index) => {
    const itemPath = `${listPath}[${index}]`;
    const given = Object.entries(reader.anyObject(item, itemPath) ?? {});
    return Object.fromEntries(given.map(([key, text]) => [key, reader.string(text, joinPath(itemPath, key)) ?? ""]));
  });
  return { parser: "generic", protocol, rules };
}
