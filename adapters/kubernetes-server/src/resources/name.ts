import { invalid, type Problem } from "../schema/problem.ts";

const label = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

/** RFC 1123 label: namespaces. */
export function labelNameProblem(path: string, name: string): Problem | undefined {
  if (label.test(name)) return undefined;
  return invalid(
    path,
    name,
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', start and end with an alphanumeric character, and have at most 63 characters (e.g. 'my-name')",
  );
}

/** RFC 1035 label: services. */
export function serviceNameProblem(path: string, name: string): Problem | undefined {
  if (label.test(name) && /^[a-z]/.test(name)) return undefined;
  return invalid(
    path,
    name,
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, end with an alphanumeric character, and have at most 63 characters (e.g. 'my-name')",
  );
}

/** RFC 1123 subdomain: everything else. */
export function subdomainNameProblem(path: string, name: string): Problem | undefined {
  if (name.length <= 253 && name.split(".").every((part) => /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(part))) return undefined;
  return invalid(
    path,
    name,
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', start and end with an alphanumeric character, and have at most 253 characters (e.g. 'example.com')",
  );
}

/** What fits into a path: roles and their bindings, such as `system:discovery`. */
export function pathNameProblem(path: string, name: string): Problem | undefined {
  if (name === "." || name === "..") return invalid(path, name, `may not be '${name}'`);
  const wrong = ["/", "%"].find((character) => name.includes(character));
  return wrong === undefined ? undefined : invalid(path, name, `may not contain '${wrong}'`);
}

const qualifiedPart = /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;

/** The key of a label or an annotation: `[prefix/]name`. */
export function isQualifiedName(text: string): boolean {
  const slash = text.indexOf("/");
  if (slash >= 0 && subdomainNameProblem("", text.slice(0, slash)) !== undefined) return false;
  return qualifiedPart.test(text.slice(slash + 1));
}

export function isLabelValue(text: string): boolean {
  return text === "" || qualifiedPart.test(text);
}
