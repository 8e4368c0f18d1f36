import { addOutputFlag, checkOutput, clean, type OutputOptions, show, UsageError } from "@cilium-ts/command-line";
import { ciliumPolicyFromRule, readPolicyCluster } from "@cilium-ts/kubernetes";
import type { Labels } from "@cilium-ts/labels";
import { PolicySuggestions, type Suggestion } from "@cilium-ts/policy-advice";
import type { Command } from "commander";
import { stringify } from "yaml";
import { type Context, ciliumNamespace } from "../context.ts";
import { addFlowFlags, type FlowOptions, readObservations } from "./flow-source.ts";

interface SuggestFlags extends OutputOptions, FlowOptions {
  readonly worldAddresses: string;
  readonly fqdns?: boolean;
  readonly withoutCluster?: boolean;
}

const worldAddressesMax = 10_000;

export function addSuggest(group: Command, context: Context): void {
  const command = group
    .command("suggest")
    .description("Write the policies that allow what the pods of a namespace (--namespace) were seen to do, and nothing else")
    .option("--world-addresses <number>", "With more addresses outside the cluster a workload is allowed all of the world", "16")
    .option("--fqdns", "Allow addresses outside by the DNS names that flows tell; needs a DNS proxy on the nodes")
    .option("--without-cluster", "Go by the flows alone; pods that were not seen may then be chosen by a rule for others");
  addFlowFlags(addOutputFlag(command), "24h").action(async (options: SuggestFlags) => {
    checkOutput(options);
    const namespace = context.chosenNamespace;
    if (namespace === undefined) throw new UsageError("--namespace says whose pods the policies are for");
    const worldAddresses = Number(options.worldAddresses);
    if (!/^[0-9]+$/.test(options.worldAddresses) || worldAddresses > worldAddressesMax)
      throw new UsageError(`--world-addresses is a whole number up to ${worldAddressesMax}, not ${JSON.stringify(options.worldAddresses)}`);
    const knownPods = options.withoutCluster === true ? [] : await podsOf(context);
    const byNames = options.fqdns === true;
    const suggestions = new PolicySuggestions({ namespace, worldAddressesMax: worldAddresses, byNames, knownPods });
    for await (const observation of readObservations(options, context)) suggestions.add(observation);
    const suggestion = suggestions.suggestion();
    tell(suggestion, namespace, context);
    const items = suggestion.rules.map(ciliumPolicyFromRule);
    const list = { apiVersion: "v1", kind: "List", items };
    show(context, options, list, () => items.map((item) => `---\n${stringify(item, { lineWidth: 0 })}`).join(""));
  });
}

async function podsOf(context: Context): Promise<Labels[]> {
  // --namespace says here whose pods are meant.
  const { pods } = await readPolicyCluster(await context.cluster(), { namespace: ciliumNamespace, signal: context.stopped });
  return pods.map(({ labels }) => labels);
}

/** Beside the policies, so that these alone can be piped on. */
function tell({ rules, flows, notUsed, notes }: Suggestion, namespace: string, { world }: Context): void {
  const skipped = notUsed.reduce((sum, { count }) => sum + count, 0);
  const lines = [
    `${rules.length} policies for ${namespace} from ${flows} flows; ${skipped} others say nothing of what is needed`,
    ...notUsed.map(({ reason, count }) => `  ${count} not used: ${reason}`),
    ...notes,
  ];
  world.stderr.write(lines.map((line) => `cilium: ${clean(line)}\n`).join(""));
}
