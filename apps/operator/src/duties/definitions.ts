import { type KubernetesClient, type KubernetesObject, registerDefinition } from "@cilium-ts/kubernetes";
import type { Log } from "@cilium-ts/log";
import { type Clock, createBackOff, errorMessage } from "@cilium-ts/std";

/** Makes every definition known to the API server, and tries again until all are. */
export async function registerDefinitions(
  { writer, clock, log }: { readonly writer: KubernetesClient; readonly clock: Clock; readonly log: Log },
  definitions: readonly KubernetesObject[],
  signal: AbortSignal,
): Promise<void> {
  const backOff = createBackOff({ delayMsMin: 100, delayMsMax: 10_000 });
  let missing = definitions;
  for (let attempt = 1; missing.length > 0 && !signal.aborted; attempt += 1) {
    const failed: KubernetesObject[] = [];
    for (const definition of missing) {
      const { name = "" } = definition.metadata;
      try {
        const outcome = await registerDefinition(writer, definition, signal);
        if (outcome === "newer") log.warn(`the CustomResourceDefinition ${name} is newer than ours, and was left as it is`);
        else if (outcome !== "current") log.info(`the CustomResourceDefinition ${name} was ${outcome}`);
      } catch (cause) {
        if (signal.aborted) return;
        failed.push(definition);
        log.warn(`the CustomResourceDefinition ${name} is not registered yet: ${errorMessage(cause)}`);
      }
    }
    missing = failed;
    if (missing.length > 0) await clock.sleep(backOff.delayMs(attempt), signal).catch(() => {}); // Rejects only on abort.
  }
}
