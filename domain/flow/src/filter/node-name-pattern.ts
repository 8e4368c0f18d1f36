import type { FlowContext } from "../context/context.ts";
import type { CompiledField } from "./filter-fields.ts";
import { matchesGlob } from "./glob.ts";

/** `[cluster/]node` with `*` as wildcard; without a cluster any will do. */
export function compileNodeName(
  patterns: readonly string[],
  build: (matches: (context: FlowContext) => boolean) => CompiledField,
): CompiledField | { readonly problem: string } {
  const wanted: Array<{ cluster: string; node: string }> = [];
  for (const pattern of patterns) {
    const [first = "", second, ...rest] = pattern.split("/");
    if (pattern === "" || rest.length > 0 || !/^[-_.*0-9A-Za-z/]+$/.test(pattern)) {
      return { problem: `node name ${JSON.stringify(pattern)} is no [cluster/]node pattern` };
    }
    wanted.push(
      second === undefined ? { cluster: "*", node: first } : { cluster: first === "" ? "*" : first, node: second === "" ? "*" : second },
    );
  }
  return build(({ clusterName, nodeName }) =>
    wanted.some(({ cluster, node }) => matchesGlob(cluster, clusterName) && matchesGlob(node, nodeName)),
  );
}
