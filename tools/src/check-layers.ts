import { checkFile, findCycles } from "./layers/rules.ts";
import { readWorkspace } from "./layers/workspace.ts";
import { repositoryRoot } from "./repository.ts";

/**
 * Proves that imports go downward only (base <- domain <- adapters <- apps), cross packages by name and as declared, make no cycles,
 * and that the world is touched only where it may be. Returns one line for each place that breaks a rule: `file:line: rule; way out`.
 */
export async function checkLayers(root: string = repositoryRoot): Promise<string[]> {
  const workspace = await readWorkspace(root);
  const findings = workspace.packages
    .flatMap((owner) => owner.files.flatMap((file) => checkFile(workspace, owner, file)))
    .map(({ path, line, rule, wayOut }) => `${path}:${line}: ${rule}; ${wayOut}`);
  for (const cycle of findCycles(workspace)) {
    const [first] = cycle;
    const names = [...cycle, ...(first === undefined ? [] : [first])].map(({ name }) => name).join(" -> ");
    findings.push(
      `${first?.folder}/package.json:1: packages import each other in a circle: ${names}; move what they share into a package below them`,
    );
  }
  return findings;
}
