import type { Command } from "commander";
import { configKeys, configPath, parseConfigKey, readConfig, writeConfig } from "./config-file.ts";
import type { World } from "./world.ts";

/** `config get|set|reset|view`: what every command begins with. */
export function addConfig(program: Command, world: World): void {
  const path = configPath(world.env);
  const command = program.command("config").description("Show and change the configuration file");
  command
    .command("view")
    .description("Show all settings of the file")
    .action(() => void world.stdout.write([...readConfig(path)].map(([key, value]) => `${key}: ${value}\n`).join("")));
  command
    .command("get [key]")
    .description("Show one setting of the file, or all with those that are not set")
    .action((key: string | undefined) => {
      const config = readConfig(path);
      if (key !== undefined) world.stdout.write(`${config.get(parseConfigKey(key)) ?? ""}\n`);
      else world.stdout.write(configKeys.map((known) => `${known}: ${config.get(known) ?? ""}\n`).join(""));
    });
  command
    .command("set <key> <value>")
    .description("Change one setting")
    .action((key: string, value: string) => writeConfig(path, parseConfigKey(key), value));
  command
    .command("reset [key]")
    .description("Remove one setting, or all")
    .action((key: string | undefined) => {
      for (const one of key === undefined ? configKeys : [parseConfigKey(key)]) writeConfig(path, one, undefined);
    });
}
