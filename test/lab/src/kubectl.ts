import { ensureKubectl } from "@cilium-ts/tools/kubectl";
import { type Finished, runToEnd } from "./shell.ts";

/** The real kubectl against one lab. */
export interface Kubectl {
  /** Standard output; throws with what kubectl said when it fails. */
  run(args: readonly string[], input?: string): Promise<string>;
  try(args: readonly string[], input?: string): Promise<Finished>;
  apply(object: object | string): Promise<void>;
}

export async function openKubectl(kubeconfigPath: string): Promise<Kubectl> {
  const path = await ensureKubectl();
  const env = { ...process.env, KUBECONFIG: kubeconfigPath, KUBECACHEDIR: `${kubeconfigPath}.cache` };
  const tryRun = (args: readonly string[], input = ""): Promise<Finished> => runToEnd(path, args, { input, env });
  const run = async (args: readonly string[], input = ""): Promise<string> => {
    const result = await tryRun(args, input);
    if (result.status !== 0) throw new Error(`kubectl ${args.join(" ")}: ${result.stderr.trim()}`);
    return result.stdout;
  };
  return {
    run,
    try: tryRun,
    async apply(object) {
      await run(["apply", "-f", "-"], typeof object === "string" ? object : JSON.stringify(object));
    },
  };
}
