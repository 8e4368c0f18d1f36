import { parseArgs } from "node:util";

/**
 * The one command. Each verb loads what it needs when it is called, because some of it (the native addon, generated files)
 * is built by this very program.
 */
interface Verb {
  readonly usage: string;
  readonly does: string;
  run(args: string[]): Promise<number>;
}

const root = import.meta.dirname;

const verbs: Record<string, Verb> = {
  up: {
    usage: "up [--nodes N] [--routing tunnel|native] [--ipam cluster-pool|multi-pool|kubernetes|host-scope] [--store sqlite|etcd]",
    does: "build everything, start a cluster of N nodes (1) with two pods, and say what to try",
    async run(args) {
      const { parseUp, up } = await import("./test/lab/src/up.ts");
      const options = parseUp(args);
      requireRoot("up");
      await build({ lab: true });
      if (options.store === "etcd") {
        const { etcdPackages, installDebianPackages } = await import("./tools/src/debian-packages.ts");
        installDebianPackages(etcdPackages);
      }
      return up(root, options);
    },
  },
  down: {
    usage: "down",
    does: "stop the lab and leave nothing behind",
    async run(args) {
      parseArgs({ args, options: {} });
      requireRoot("down");
      const { down } = await import("./test/lab/src/down.ts");
      return down();
    },
  },
  node: {
    usage: "node add|remove|cut|join NAME",
    does: "add a node to the lab or remove one; cut one off the network, or join it again",
    async run(args) {
      requireRoot("node");
      const { changeNode } = await import("./test/lab/src/change-lab.ts");
      return changeNode(args);
    },
  },
  restart: {
    usage: "restart agent [NODE]|operator|apiserver|relay|kubelet",
    does: "stop a program of the lab and start it again",
    async run(args) {
      requireRoot("restart");
      const { restartProgram } = await import("./test/lab/src/change-lab.ts");
      return restartProgram(args);
    },
  },
  check: {
    usage: "check",
    does: "types, lint and format, layers, generated files current",
    async run(args) {
      parseArgs({ args, options: {} });
      await build({ lab: false });
      const { check } = await import("./tools/src/check.ts");
      return (await check()) ? 0 : 1;
    },
  },
  test: {
    usage: "test [--long] [PART-OF-A-FILE-NAME...]",
    does: "run the tests; with --long those that are made at random for many more cases",
    async run(args) {
      const { values, positionals } = parseArgs({ args, options: { long: { type: "boolean", default: false } }, allowPositionals: true });
      if (values.long) process.env.CILIUM_TS_LONG = "1"; // Read by tests, which are processes of their own.
      requireRoot("test");
      await build({ lab: true });
      const { runTests } = await import("./tools/src/run-tests.ts");
      const summary = await runTests(root, positionals);
      console.log(`${summary.passed} passed, ${summary.failed} failed, ${summary.skipped} skipped`);
      return summary.failed === 0 && summary.passed > 0 ? 0 : 1;
    },
  },
  bench: {
    usage: "bench datapath|control|cluster|cross-node|policy|hubble|scale|ui [--json]",
    does: "measure, as ratios within one run",
    async run(args) {
      requireRoot("bench");
      await build({ lab: true, bench: true });
      const { bench } = await import("./test/bench/src/bench.ts");
      return bench(args);
    },
  },
  generate: {
    usage: "generate",
    does: "make the generated files again from the compiled objects and the protocols",
    async run(args) {
      parseArgs({ args, options: {} });
      await build({ lab: false });
      const { generate } = await import("./tools/src/generate.ts");
      return (await generate({ check: false })) ? 0 : 1;
    },
  },
  ui: {
    usage: "ui --replay [FILE] | --hubble HOST:PORT [--port N] [--services N] [--links N] [--rate N]",
    does: "serve Hubble UI over a made or recorded cluster, or over some Hubble",
    async run(args) {
      const { parseUi, ui } = await import("./test/ui/src/ui.ts");
      const options = parseUi(args);
      const [{ buildBundles }, { buildPage }] = await Promise.all([
        import("./tools/src/build-bundles.ts"),
        import("./tools/src/build-page.ts"),
      ]);
      await buildBundles(undefined, ["ui-backend"]);
      await buildPage();
      return ui(root, options);
    },
  },
  image: {
    usage: "image ui",
    does: "make the image that serves Hubble UI's page: apps/ui/build/hubble-ui.tar",
    async run(args) {
      const { positionals } = parseArgs({ args, options: {}, allowPositionals: true });
      if (positionals.join() !== "ui") throw new Error(`say which image: ui, not "${positionals.join(" ")}"`);
      requireRoot("image");
      const { imagePackages, installDebianPackages } = await import("./tools/src/debian-packages.ts");
      installDebianPackages(imagePackages);
      const [{ buildPage }, { buildUiImage }] = await Promise.all([
        import("./tools/src/build-page.ts"),
        import("./tools/src/build-ui-image.ts"),
      ]);
      await buildPage();
      await buildUiImage();
      return 0;
    },
  },
  exec: {
    usage: "exec POD COMMAND...",
    does: "run a command inside a pod of the lab",
    run: (args) => labCommand("execInPod", args),
  },
  kubectl: {
    usage: "kubectl ARGUMENTS...",
    does: "kubectl, talking to the lab's API server",
    run: (args) => labCommand("kubectl", args),
  },
  hubble: {
    usage: "hubble ARGUMENTS...",
    does: "hubble, talking to the lab's node",
    run: (args) => labCommand("hubble", args),
  },
  cilium: {
    usage: "cilium ARGUMENTS...",
    does: "cilium, talking to the lab's API server",
    run: (args) => labCommand("cilium", args),
  },
  "cilium-dbg": {
    usage: "cilium-dbg [--node NAME] ARGUMENTS...",
    does: "cilium-dbg, about a node of the lab (the first one)",
    run: (args) => labCommand("ciliumDbg", args),
  },
};

async function labCommand(name: "execInPod" | "kubectl" | "hubble" | "cilium" | "ciliumDbg", args: string[]): Promise<number> {
  const commands = await import("./test/lab/src/commands.ts");
  return commands[name](root, args);
}

async function build(options: { lab: boolean; bench?: boolean }): Promise<void> {
  const { benchPackages, browserPackages, buildPackages, installDebianPackages, labPackages } = await import(
    "./tools/src/debian-packages.ts"
  );
  installDebianPackages([
    ...buildPackages,
    ...(options.lab ? labPackages : []),
    ...(options.bench === true ? [...benchPackages, ...browserPackages] : []),
  ]);
  const [{ buildBpf }, { buildAddon }, { buildCni }] = await Promise.all([
    import("./tools/src/build-bpf.ts"),
    import("./tools/src/build-addon.ts"),
    import("./apps/cni/build.ts"),
  ]);
  await Promise.all([buildBpf(), buildAddon(), buildCni()]);
  if (!options.lab) return;
  const [{ buildBundles }, { buildPage }] = await Promise.all([
    import("./tools/src/build-bundles.ts"),
    import("./tools/src/build-page.ts"),
  ]);
  await Promise.all([buildBundles(), buildPage()]); // After the addon, which goes with the agent.
}

function requireRoot(verb: string): void {
  if (process.getuid?.() !== 0)
    throw new Error(`${verb} loads programs into the kernel and makes namespaces: run it as root (sudo ./dev ${verb})`);
}

function usage(): string {
  const width = Math.max(...Object.values(verbs).map((verb) => verb.usage.length));
  return ["Usage: ./dev VERB", "", ...Object.values(verbs).map((verb) => `  ${verb.usage.padEnd(width)}  ${verb.does}`)].join("\n");
}

const [name = "", ...rest] = process.argv.slice(2);
const verb = verbs[name];
if (verb === undefined) {
  const asked = name === "" || name === "help" || name === "--help" || name === "-h";
  console.error(asked ? usage() : `dev: there is no verb "${name}"\n\n${usage()}`);
  process.exitCode = asked && name !== "" ? 0 : 2;
} else {
  try {
    process.exitCode = await verb.run(rest);
  } catch (cause) {
    const { errorMessage } = await import("./base/std/src/errors.ts");
    console.error(`dev ${name}: ${errorMessage(cause)}`);
    process.exitCode = 1;
  }
}
