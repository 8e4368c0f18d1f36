import type { Command } from "commander";
import type { Context } from "../context.ts";
import { addExplain } from "./explain.ts";
import { addLint } from "./lint.ts";
import { addSuggest } from "./suggest.ts";
import { addWhatIf } from "./what-if.ts";

export function addPolicy(program: Command, context: Context): void {
  const group = program.command("policy").description("What policies do, and what they would do before they are applied");
  addExplain(group, context);
  addLint(group, context);
  addSuggest(group, context);
  addWhatIf(group, context);
}
