import { errorMessage } from "@cilium-ts/std";
import { Command, CommanderError } from "commander";
import packageJson from "../package.json" with { type: "json" };
import { addCompletion } from "./completion.ts";
import { addConfig } from "./config.ts";
import { addConnectionFlags } from "./connection.ts";
import { addList } from "./list.ts";
import { addObserve } from "./observe.ts";
import { addObserveEvents } from "./observe-events.ts";
import { addStatus } from "./status.ts";
import { addTop } from "./top.ts";
import { UsageError } from "./usage-error.ts";
import { addWatch } from "./watch-peers.ts";
import { addWhy } from "./why.ts";
import type { World } from "./world.ts";

/** Runs one command and returns the exit code. Aborting is a way to end, not a failure. */
export async function run(args: readonly string[], world: World, signal: AbortSignal): Promise<number> {
  const program = new Command("hubble").description("Observe and inspect network flows").option("-D, --debug", "Show more of what happens");
  program.exitOverride().configureOutput({
    writeOut: (text) => void world.stdout.write(text),
    writeErr: (text) => void world.stderr.write(text),
  });
  program.action(() => program.outputHelp());
  try {
    addCommands(program, world, signal);
    await program.parseAsync(withDebugFirst(withoutDefaultCommand(args)), { from: "user" });
    return 0;
  } catch (cause) {
    if (cause instanceof CommanderError) return cause.exitCode;
    world.stderr.write(`hubble: ${cause instanceof UsageError ? cause.message : errorMessage(cause)}\n`);
    return 1;
  }
}

function addCommands(program: Command, world: World, signal: AbortSignal): void {
  const observe = addObserve(program, world, signal);
  const asking = [
    observe,
    ...addObserveEvents(observe, world, signal),
    addStatus(program, world, signal),
    ...addList(program, world, signal),
    addWatch(program, world, signal),
    addTop(program, world, signal),
    addWhy(program, world, signal),
  ];
  for (const command of asking) addConnectionFlags(command, world);
  addConfig(program, world);
  addCompletion(program, world);
  program
    .command("version")
    .description("Show the version of this program")
    .action(
      () => void world.stdout.write(`hubble v${packageJson.version} on Node ${process.version}, ${process.platform}/${process.arch}\n`),
    );
  inherit(program);
  program.enablePositionalOptions();
  observe.enablePositionalOptions(); // Its subcommands have flags of the same names.
}

function inherit(parent: Command): void {
  for (const command of parent.commands) {
    command.exitOverride().copyInheritedSettings(parent);
    inherit(command);
  }
}

/** The one flag that may stand anywhere. */
function withDebugFirst(args: readonly string[]): string[] {
  const isDebug = (arg: string): boolean => arg === "-D" || arg === "--debug";
  return [...args.filter(isDebug).slice(0, 1), ...args.filter((arg) => !isDebug(arg))];
}

/** `observe flows` is `observe`. */
function withoutDefaultCommand(args: readonly string[]): string[] {
  const observe = args.indexOf("observe");
  const named = observe >= 0 && args[observe + 1] === "flows" && args.slice(0, observe).every((arg) => arg.startsWith("-"));
  return args.filter((_, index) => !named || index !== observe + 1);
}
