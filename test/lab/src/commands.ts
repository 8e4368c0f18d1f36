import { spawn } from "node:child_process";
import { join } from "node:path";
import { ensureKubectl } from "@cilium-ts/tools/kubectl";
import type { LabRecord } from "./lab.ts";
import { labDirectory } from "./lab-directory.ts";
import { readLab } from "./read-lab.ts";

/** Verbs of ./dev that act on the lab that `./dev up` started. */
export const demoLab = "lab";

export function execInPod(root: string, args: string[]): Promise<number> {
  const { directory } = runningLab();
  const [wanted = "", ...command] = args.filter((arg, index) => !(arg === "--" && index === 1));
  const [namespace = "", pod = ""] = wanted.includes("/") ? wanted.split("/") : ["default", wanted];
  if (command.length === 0) throw new Error(`say what to run in ${wanted}: ./dev exec ${wanted} COMMAND...`);
  return runInForeground(join(root, execProgram), [namespace, pod, "", ...command], execEnvironment(root, directory));
}

export async function kubectl(_root: string, args: string[]): Promise<number> {
  const lab = runningLab();
  return runInForeground(await ensureKubectl(), args, { KUBECONFIG: lab.kubeconfigPath });
}

/** The whole cluster's flows, through the relay. */
export function hubble(root: string, args: string[]): Promise<number> {
  const { options } = runningLab();
  return runInForeground(process.execPath, [join(root, "apps/hubble/build/bin/main.js"), ...args], {
    HUBBLE_SERVER: relayAddress(options),
  });
}

function relayAddress({ subnet }: { readonly subnet: number }): string {
  return `172.31.${subnet}.1:4245`;
}

/** The cluster's command line, talking to the lab's API server, and to pods as the lab does. */
export function cilium(root: string, args: string[]): Promise<number> {
  const { kubeconfigPath, directory, options } = runningLab();
  return runInForeground(process.execPath, [join(root, "apps/cilium/build/bin/main.js"), ...args], {
    KUBECONFIG: kubeconfigPath,
    HUBBLE_SERVER: relayAddress(options),
    CILIUM_TEST_EXTERNAL_IP: `172.31.${options.subnet}.2`,
    CILIUM_TEST_EXTERNAL_IPV6: `fd31:${options.subnet}::2`,
    CILIUM_TEST_EXTERNAL_PORT: "8080",
    CILIUM_EXEC_PROGRAM: join(root, execProgram),
    ...execEnvironment(root, directory),
  });
}

const execProgram = "test/lab/exec-in-pod";

function execEnvironment(root: string, directory: string): NodeJS.ProcessEnv {
  return { CILIUM_LAB: directory, CILIUM_LAB_ROOT: root };
}

/** About the first node, or the one that `--node NAME` at the beginning names. */
export function ciliumDbg(root: string, args: string[]): Promise<number> {
  const { nodes } = runningLab();
  const [flag, name, ...others] = args;
  const node = flag === "--node" ? nodes.find((candidate) => candidate.name === name) : nodes[0];
  if (node === undefined)
    throw new Error(`the lab has no node "${name}": there are ${nodes.map((candidate) => candidate.name).join(", ")}`);
  return runInForeground(process.execPath, [join(root, "apps/cilium-dbg/build/bin/main.js"), ...(flag === "--node" ? others : args)], {
    CILIUM_SOCK: node.socketPath,
    CILIUM_BPF_ROOT: join(node.directory, "bpf"),
    HUBBLE_SERVER: `unix://${node.hubbleSocketPath}`,
  });
}

function runningLab(): LabRecord & { readonly directory: string } {
  const lab = readLab(demoLab);
  if (lab === undefined) throw new Error("no lab is running: start one with sudo ./dev up");
  return { ...lab, directory: labDirectory(demoLab) };
}

function runInForeground(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<number> {
  return new Promise((resolve, reject) => {
    const cwd = process.env.CILIUM_TS_CALLER_DIRECTORY;
    const child = spawn(command, args, { stdio: "inherit", env: { ...process.env, ...env }, ...(cwd === undefined ? {} : { cwd }) });
    child.on("error", reject);
    child.on("close", (code, signal) => resolve(code ?? (signal === "SIGINT" ? 130 : 1)));
    process.on("SIGINT", () => {}); // The terminal sends it to the child too, and the child decides.
  });
}
