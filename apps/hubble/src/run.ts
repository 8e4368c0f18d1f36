import { errorMessage } from "@cilium-ts/std";
import { Command, CommanderError } from "commander";
import packageJson from "../package.json" with { type: "json" };
import { addObserve } from "./observe.ts";
import { serverDefault } from "./server-address.ts";
import { addStatus } from "./status.ts";
import { UsageError } from "./usage-error.ts";
import type { World } from "./world.ts";

/** Runs one command and returns the exit code. Aborting is a way to end, not a failure. */
export async function run(args: readonly string[], world: World, signal: AbortSignal): Promise<number> {
  const program = new Command("hubble").description("Observe and inspect network flows").option("-D, --debug", "Show more of what happens");
  program.exitOverride().configureOutput({
    writeOut: (text) => void world.stdout.write(text),
    writeErr: (text) => void world.stderr.write(text),
  });
  program.action(() => program.outputHelp());
  addObserve(program, world, signal);
  addStatus(program, world, signal);
  program
    .command("version")
    .description("Show the version of this program")
    .action(
      () => void world.stdout.write(`hubble v${packageJson.version} on Node ${process.version}, ${process.platform}/${process.arch}\n`),
    );
  for (const command of program.commands) {
    command.exitOverride().copyInheritedSettings(program);
    if (command.name() !== "version") addServerFlags(command, world);
  }
  try {
    await program.parseAsync(withoutDefaultCommand(args), { from: "user" });
    return 0;
  } catch (cause) {
    if (cause instanceof CommanderError) return cause.exitCode;
    world.stderr.write(`hubble: ${cause instanceof UsageError ? cause.message : errorMessage(cause)}\n`);
    return 1;
  }
}

function addServerFlags(command: Command, world: World): void {
  command
    .option("--server <address>", "Hubble server: unix:///path or host:port", world.env.HUBBLE_SERVER || serverDefault)
    .option("--timeout <duration>", "How long to wait for a connection", world.env.HUBBLE_TIMEOUT || "5s")
    .option("--request-timeout <duration>", "How long to wait for an answer, except of flows", world.env.HUBBLE_REQUEST_TIMEOUT || "12s");
}

/** `observe flows` is `observe`. */
function withoutDefaultCommand(args: readonly string[]): string[] {
  const observe = args.indexOf("observe");
  const named = observe >= 0 && args[observe + 1] === "flows" && args.slice(0, observe).every((arg) => arg.startsWith("-"));
  return args.filter((_, index) => !named || index !== observe + 1);
}
