import { clean } from "@cilium-ts/command-line";
import { peerpb } from "@cilium-ts/observer";
import type { Command } from "commander";
import { type ConnectionOptions, openClients, serverError } from "./connection.ts";
import type { World } from "./world.ts";

/** `watch peers`: what a node tells a relay about the cluster. */
export function addWatch(program: Command, world: World, signal: AbortSignal): Command {
  const command = program.command("watch").description("Watch what a Hubble server tells");
  const peers = command.command("peers").alias("peer").description("Watch the nodes that a node knows");
  return peers.action(async (options: ConnectionOptions) => {
    const { peer } = await openClients(options);
    try {
      for await (const { name, address, type, tls } of peer.notify({}, { signal })) {
        const server = tls === undefined ? "" : ` (TLS.ServerName: ${tls.serverName})`;
        world.stdout.write(`${clean(`${peerpb.ChangeNotificationType[type].padEnd(12)} ${address} ${name}${server}`)}\n`);
      }
    } catch (cause) {
      if (!signal.aborted) throw serverError(options.server, cause);
    }
  });
}
