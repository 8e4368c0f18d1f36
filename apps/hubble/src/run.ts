import { addCompletion, runProgram } from "@cilium-ts/command-line";
import { Command } from "commander";
import packageJson from "../package.json" with { type: "json" };
import { addConfig } from "./config.ts";
import { addConnectionFlags, type ConnectionOptions } from "./connection.ts";
import { addList } from "./list.ts";
import { addObserve } from "./observe.ts";
import { addObserveEvents } from "./observe-events.ts";
import { addReflect } from "./reflect.ts";
import { addStatus } from "./status.ts";
import { addTop } from "./top.ts";
import { addWatch } from "./watch-peers.ts";
import { addWhy } from "./why.ts";
import type { World } from "./world.ts";

/** Runs one command and returns the exit code. Aborting is a way to end, not a failure. */
export async function run(args: readonly string[], world: World, signal: AbortSignal): Promise<number> {
  const program = new Command("hubble")
    .description("Observe and inspect network flows")
    .option("-D, --debug", "Show more of what happens")
    .option("--config <file>", "Settings of this file ($HUBBLE_CONFIG, or hubble/config.yaml of your configuration)");
  program.action(() => program.outputHelp());
  await using opened = new AsyncDisposableStack();
  program.hook("preAction", async (_program, command) => {
    const options = command.opts<ConnectionOptions>();
    if (options.portForward !== true) return;
    // The library that does it is a third of the program, and few need it.
    const { forwardToRelay } = await import("./port-forward.ts");
    const forward = opened.use(await forwardToRelay(options, world, signal));
    command.setOptionValue("server", `${options.tls === true ? "tls://" : ""}127.0.0.1:${forward.port}`);
  });
  const { rest, config } = withoutConfig(args);
  return await runProgram(program, {
    args: withDebugFirst(withoutDefaultCommand(rest)),
    stdout: world.stdout,
    stderr: world.stderr,
    signal,
    prepare: () => addCommands(program, config === undefined ? world : { ...world, env: { ...world.env, HUBBLE_CONFIG: config } }, signal),
  });
}

function addCommands(program: Command, world: World, signal: AbortSignal): void {
  const observe = addObserve(program, world, signal);
  const asking = [
    observe,
    ...addObserveEvents(observe, world, signal),
    addStatus(program, world, signal),
    ...addList(program, world, signal),
    addWatch(program, world, signal),
    addReflect(program, world, signal),
    addTop(program, world, signal),
    addWhy(program, world, signal),
  ];
  for (const command of asking) addConnectionFlags(command, world);
  addConfig(program, world);
  addCompletion(program, world.stdout);
  program
    .command("version")
    .description("Show the version of this program")
    .action(
      () => void world.stdout.write(`hubble v${packageJson.version} on Node ${process.version}, ${process.platform}/${process.arch}\n`),
    );
  program.enablePositionalOptions();
  observe.enablePositionalOptions(); // Its subcommands have flags of the same names.
}

/** The file is read to know what flags are by default, which is before flags are read. */
function withoutConfig(args: readonly string[]): { readonly rest: readonly string[]; readonly config: string | undefined } {
  const at = args.findIndex((arg) => arg === "--config" || arg.startsWith("--config="));
  if (at < 0) return { rest: args, config: undefined };
  const joined = args[at]?.includes("=") === true;
  const config = joined ? args[at]?.slice("--config=".length) : args[at + 1];
  return config === undefined || config === "" ? { rest: args, config: undefined } : { rest: args.toSpliced(at, joined ? 1 : 2), config };
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
