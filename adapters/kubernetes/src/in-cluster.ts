import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { errorMessage } from "@cilium-ts/std";
import type { ClusterAccess } from "./access.ts";

/** Where Kubernetes puts what a pod needs to speak to the API server. */
export const serviceAccountDirectory = "/var/run/secrets/kubernetes.io/serviceaccount";

/**
 * The access of a pod's service account. Host and port are what Kubernetes sets as KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT in
 * every container; undefined when they are not set, as outside of a cluster. The token is read again while we run.
 */
export async function loadInClusterAccess(options: {
  readonly host: string | undefined;
  readonly port: string | undefined;
  readonly directory?: string;
}): Promise<ClusterAccess | undefined> {
  const { host, port, directory = serviceAccountDirectory } = options;
  if (host === undefined || host === "" || port === undefined || port === "") return undefined;
  const caPath = join(directory, "ca.crt");
  try {
    const ca = await readFile(caPath, "utf8");
    return { server: `https://${host.includes(":") ? `[${host}]` : host}:${port}`, ca, tokenPath: join(directory, "token") };
  } catch (cause) {
    throw new Error(
      `the service account of this pod cannot be used: ${caPath} cannot be read: ${errorMessage(cause)}; mount its token, or name a kubeconfig`,
      {
        cause,
      },
    );
  }
}
