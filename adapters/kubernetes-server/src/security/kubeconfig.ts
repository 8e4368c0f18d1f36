import { stringify } from "yaml";
import type { Certificates } from "./certificates.ts";

/** A kubeconfig that holds everything a client needs: address, authority and the administrator's certificate. */
export function createKubeconfig(url: string, certificates: Certificates): string {
  const base64 = (text: string) => Buffer.from(text).toString("base64");
  return stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "cilium", cluster: { server: url, "certificate-authority-data": base64(certificates.authority) } }],
    users: [
      {
        name: "admin",
        user: { "client-certificate-data": base64(certificates.admin.certificate), "client-key-data": base64(certificates.admin.key) },
      },
    ],
    contexts: [{ name: "cilium", context: { cluster: "cilium", user: "admin" } }],
    "current-context": "cilium",
  });
}
