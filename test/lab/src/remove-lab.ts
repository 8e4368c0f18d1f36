import { readdirSync, readFileSync, rmSync } from "node:fs";
import { labDirectory } from "./lab-directory.ts";
import { readLab } from "./read-lab.ts";
import { runToEnd, stopDaemon } from "./shell.ts";

/** Ends and removes everything that carries the lab's name, also after a start that was cut short. Absent things are fine. */
export async function removeLab(name: string): Promise<void> {
  const record = readLab(name);
  await Promise.all((record?.daemons ?? []).map((daemon) => stopDaemon(daemon, { graceMs: 3_000 })));
  for (const pid of programsOf(labDirectory(name))) end(pid);
  for (const namespace of namespacesOf(name)) {
    await endProcessesIn(namespace);
    await runToEnd("ip", ["netns", "del", namespace]);
  }
  for (const link of await linksOf(name)) await runToEnd("ip", ["link", "del", link]);
  await removeDirectory(labDirectory(name));
}

/** With what is mounted inside, such as a node's BPF filesystem. */
export async function removeDirectory(path: string): Promise<void> {
  for (const mount of mountsUnder(path)) await runToEnd("umount", [mount]);
  rmSync(path, { recursive: true, force: true });
}

function namespacesOf(name: string): string[] {
  try {
    return readdirSync("/run/netns").filter((entry) => entry.startsWith(`ct-${name}-`));
  } catch {
    return []; // No namespace was ever made on this machine.
  }
}

/** Programs that keep their state there, ours or etcd, which are in no record when the start was cut short in the moment after it began them. */
function programsOf(directory: string): number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => {
      const args = argumentsOf(pid);
      const isOfLabs = args.some((arg) => arg.endsWith("/build/bin/main.js")) || args[0] === "etcd";
      return isOfLabs && args.some((arg) => arg.startsWith(`${directory}/`));
    });
}

function argumentsOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
  } catch {
    return []; // No process, or one that has ended.
  }
}

function end(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // Gone already.
  }
}

/** Whatever still runs inside, such as a command that somebody started by hand. */
export async function endProcessesIn(namespace: string): Promise<void> {
  const { stdout } = await runToEnd("ip", ["netns", "pids", namespace]);
  for (const pid of stdout.split("\n").map(Number)) if (pid > 1) end(pid);
}

async function linksOf(name: string): Promise<string[]> {
  const { stdout } = await runToEnd("ip", ["-json", "link", "show"]);
  const links: Array<{ ifname: string }> = stdout === "" ? [] : JSON.parse(stdout);
  const own = new RegExp(`^ct-${name}[0-9]*$`);
  return links.map((link) => link.ifname).filter((link) => own.test(link));
}

function mountsUnder(directory: string): string[] {
  return readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[1] ?? "")
    .filter((path) => path.startsWith(`${directory}/`))
    .reverse();
}
