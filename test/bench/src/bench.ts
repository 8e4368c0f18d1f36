import { join } from "node:path";
import { parseArgs } from "node:util";
import { benchCluster } from "./cluster.ts";
import { benchClusterPods } from "./cluster-pods.ts";
import { benchControl } from "./control.ts";
import { benchCrossNode } from "./cross-node.ts";
import { benchDatapath } from "./datapath.ts";
import { benchDns } from "./dns.ts";
import { benchHubble } from "./hubble.ts";
import { benchPolicy } from "./policy.ts";
import { createReport, formatReport, type Row } from "./report.ts";
import { benchScale } from "./scale.ts";
import { benchUi } from "./ui.ts";

const root = join(import.meta.dirname, "../../..");

/** `./dev bench NAME [--json] [--repeats N] [--seconds N] [--size 1x|10x]`: progress on standard error, the report on standard output. */
export async function bench(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      json: { type: "boolean", default: false },
      repeats: { type: "string", default: "7" },
      seconds: { type: "string", default: "1" },
      size: { type: "string", default: "" },
    },
  });
  const name = positionals[0] ?? "";
  const repeats = wholeNumber("repeats", values.repeats, 1, 100);
  const seconds = wholeNumber("seconds", values.seconds, 1, 60);
  const benches: Record<string, () => Promise<Row[]>> = {
    datapath: () => benchDatapath(root, { repeats, seconds }),
    "cross-node": () => benchCrossNode(root, { repeats, seconds }),
    cluster: async () => [
      ...(await benchCrossNode(root, { repeats, seconds })),
      ...(await benchCluster(root, { repeats })),
      ...(await benchClusterPods(root)),
    ],
    control: () => benchControl(root, { repeats }),
    dns: () => benchDns(root, { repeats, seconds }),
    hubble: () => benchHubble({ repeats }),
    scale: () => benchScale(root, { size: values.size }),
    ui: () => benchUi(root, { repeats, minutes: seconds }),
    policy: () => benchPolicy(root, { repeats }),
  };
  const chosen = benches[name];
  if (chosen === undefined) throw new Error(`there is no benchmark "${name}": there are ${Object.keys(benches).join(", ")}`);
  const report = createReport(name, await chosen());
  console.log(values.json ? JSON.stringify(report, null, 2) : formatReport(report));
  return 0;
}

function wholeNumber(option: string, text: string, smallest: number, largest: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < smallest || value > largest)
    throw new Error(`--${option} is a whole number from ${smallest} to ${largest}, not "${text}"`);
  return value;
}
