import assert from "node:assert/strict";
import test from "node:test";
import { readSettingTexts, SettingsReader, settingDirectory, settingLines } from "./settings.ts";

const settings = [
  { name: "config-dir", value: "DIR", fallback: "", says: "one file per setting" },
  { name: "node-name", value: "NAME", fallback: "local", says: "the name of this node" },
] as const;

function nodeName(args: string[], environment: Record<string, string>, files: Record<string, string> = {}): string | undefined {
  const read = readSettingTexts({
    program: "a-program",
    settings,
    args,
    environment,
    files: settingDirectory(settings, (_, name) => files[name]),
    variables: { "node-name": "K8S_NODE_NAME" },
  });
  return read.kind === "texts" ? read.texts.get("node-name") : JSON.stringify(read);
}

test("a flag comes before its variable, that before the second variable, then the file, then the default", () => {
  const variables = { CILIUM_NODE_NAME: "variable", K8S_NODE_NAME: "second", CILIUM_CONFIG_DIR: "/etc/config" };
  const files = { "node-name": " file\n" };
  assert.equal(nodeName(["--node-name", "flag"], variables, files), "flag");
  assert.equal(nodeName([], variables, files), "variable");
  assert.equal(nodeName([], { K8S_NODE_NAME: "second", CILIUM_CONFIG_DIR: "/etc/config" }, files), "second");
  assert.equal(nodeName(["--config-dir", "/etc/config"], {}, files), "file");
  assert.equal(nodeName([], {}, files), "local", "without a directory no file is read");
});

test("a flag that does not exist is a problem that names it and says where the flags are listed", () => {
  assert.match(nodeName(["--nodename", "a"], {}) ?? "", /--nodename.*\(a-program --help lists the flags\)/);
});

test("help is asked for by its long and its short flag", () => {
  assert.equal(nodeName(["--help"], {}), '{"kind":"help"}');
  assert.equal(nodeName(["-h"], {}), '{"kind":"help"}');
  assert.deepEqual(settingLines(settings, 20), [
    "  --config-dir DIR   one file per setting",
    "  --node-name NAME   the name of this node (local)",
  ]);
});

test("each value that is wrong is a problem of its own", () => {
  const reader = new SettingsReader(
    new Map([
      ["port", "1e3"],
      ["mode", "fast"],
      ["name", ""],
      ["fast", "yes"],
      ["pause", "1d"],
      ["long", "2h"],
      ["serve", "9962"],
    ]),
  );
  reader.whole("port", 1, 9);
  reader.choice("mode", ["slow", "steady"], "slow");
  reader.required("name");
  reader.boolean("fast");
  reader.duration("pause", 100);
  reader.duration("long", 0, 3_600_000);
  reader.address("serve");
  assert.deepEqual(reader.problems, [
    '--port is a whole number from 1 to 9, not "1e3"',
    '--mode is one of slow, steady, not "fast"',
    "--name must not be empty",
    '--fast is true or false, not "yes"',
    '--pause is a time of at least 100 ms, such as 15s or 5m0s, not "1d"',
    '--long is a time, such as 15s or 5m0s, not "2h"',
    '--serve is an address and a port, such as 127.0.0.1:9234 or :9963, not "9962"',
  ]);
});

test("addresses may be switched off, left open, and of either family; times are those of Go", () => {
  const texts = ["", ":9962", "127.0.0.1:0", "[::1]:9879"].map((text) => new SettingsReader(new Map([["at", text]])).address("at"));
  assert.deepEqual(texts, [undefined, { host: undefined, port: 9962 }, { host: "127.0.0.1", port: 0 }, { host: "::1", port: 9879 }]);
  assert.equal(new SettingsReader(new Map([["pause", "1m30s"]])).duration("pause", 0), 90_000);
  assert.equal(new SettingsReader(new Map([["on", "true"]])).boolean("on"), true);
});

test("what is wrong with the files stops the rest", () => {
  const read = readSettingTexts({
    program: "a-program",
    settings,
    args: ["--config-dir", "/c"],
    environment: { A_NODE_NAME: "variable" },
    variablePrefix: "A_",
    files: (given) => ({ values: new Map(), problems: [`${given("config-dir")} of ${given("node-name")} is no YAML`] }),
  });
  assert.deepEqual(read, { kind: "problems", problems: ["/c of variable is no YAML"] });
});
