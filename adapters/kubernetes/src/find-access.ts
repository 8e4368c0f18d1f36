import { existsSync } from "node:fs";
import { join } from "node:path";
import type { ClusterAccess } from "./access.ts";
import { loadInClusterAccess } from "./in-cluster.ts";
import { loadKubeconfig } from "./kubeconfig.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** The cluster that is named, or that the environment means as kubectl reads it, or that we run in; undefined: none of these. */
export async function findClusterAccess(
  env: Environment,
  { kubeconfig, context }: { readonly kubeconfig?: string | undefined; readonly context?: string | undefined },
): Promise<ClusterAccess | undefined> {
  const path = kubeconfig ?? kubeconfigPathOf(env);
  if (path !== undefined) return await loadKubeconfig(path, context === undefined ? {} : { context });
  return await loadInClusterAccess({ host: env.KUBERNETES_SERVICE_HOST, port: env.KUBERNETES_SERVICE_PORT });
}

/** The first file of KUBECONFIG, or the one at home when there is one. Files are not merged. */
function kubeconfigPathOf(env: Environment): string | undefined {
  const [first] = (env.KUBECONFIG ?? "").split(":").filter((path) => path !== "");
  if (first !== undefined) return first;
  const path = join(env.HOME ?? "/", ".kube/config");
  return existsSync(path) ? path : undefined;
}
