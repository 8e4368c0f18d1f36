/** Of a subresource of a pod: `exec`, `log`, `portforward`. */
export function podUrl(server: string, { namespace, pod }: { readonly namespace: string; readonly pod: string }, subresource: string): URL {
  const url = new URL(server);
  const root = url.pathname.replace(/\/+$/, "");
  url.pathname = `${root}/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(pod)}/${subresource}`;
  return url;
}
