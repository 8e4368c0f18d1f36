import type { Command } from "commander";
import type { Context } from "./context.ts";

export function addHostFirewall(program: Command, context: Context): void {
  const group = program.command("host-firewall").description("The node's own policy");
  group
    .command("confirm")
    .description("Keep the policies of this node that are on trial because they cut something off")
    .action(async () => {
      await context.agent.confirmHostPolicies(context.signal);
      context.write("The policies of this node stay.\n");
    });
}
