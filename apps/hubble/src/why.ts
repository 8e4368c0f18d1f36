import { create } from "@bufbuild/protobuf";
import { UsageError } from "@cilium-ts/command-line";
import { flowpb, observerpb } from "@cilium-ts/observer";
import type { Command } from "commander";
import { type ConnectionOptions, callOptionsOf, openClients, serverError } from "./connection.ts";
import { explainFlow } from "./explain.ts";
import { addFilterFlags } from "./observe.ts";
import type { World } from "./world.ts";

/** `why`: the last flow that matches, explained. Without filters the last drop. */
export function addWhy(program: Command, world: World, signal: AbortSignal): Command {
  const command = program.command("why").description("Explain the last flow that matches (without filters: the last drop)");
  const filters = addFilterFlags(command);
  return command.action(async (options: ConnectionOptions) => {
    if (filters.negated) throw new UsageError("--not at the end: it must stand before the filter that it is about");
    const [allow, deny] = [filters.allow.build(), filters.deny.build()];
    const drops = create(flowpb.FlowFilterSchema, { verdict: [flowpb.Verdict.DROPPED] });
    const request = create(observerpb.GetFlowsRequestSchema, {
      number: 1n,
      whitelist: allow.length + deny.length === 0 ? [drops] : allow,
      blacklist: deny,
    });
    const { observer } = await openClients(options);
    let found: flowpb.Flow | undefined;
    try {
      for await (const { responseTypes } of observer.getFlows(request, callOptionsOf(options, signal)))
        if (responseTypes.case === "flow") found = responseTypes.value;
    } catch (cause) {
      throw serverError(options.server, cause);
    }
    if (found === undefined) throw new UsageError(`${options.server} has no such flow: make it happen again, or ask with other filters`);
    world.stdout.write(explainFlow(found));
  });
}
