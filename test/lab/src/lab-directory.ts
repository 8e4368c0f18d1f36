/** Where a lab's files live; the pods' and nodes' namespaces, links and processes carry its name too. */
export function labDirectory(name: string): string {
  return `/run/cilium-ts/${name}`;
}
