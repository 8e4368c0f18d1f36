import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { freePort } from "@cilium-ts/testing";

const startDeadlineMs = 20_000;

/** One member of a cluster of etcd, for tests. */
export interface EtcdMember {
  readonly endpoint: string;
  /** Ends it with the signal. */
  stop(signal: NodeJS.Signals): Promise<void>;
  /** Starts it again on what it had stored. */
  start(): void;
}

/** A cluster of etcd in a folder of its own; Debian has it as etcd-server. */
export interface EtcdCluster extends AsyncDisposable {
  readonly endpoints: readonly string[];
  readonly members: readonly EtcdMember[];
  /** The member that leads; undefined while they have not agreed. */
  leader(): Promise<EtcdMember | undefined>;
}

export async function startEtcd(memberCount = 1): Promise<EtcdCluster> {
  const folder = mkdtempSync(join(tmpdir(), "cilium-ts-etcd-"));
  const ports = await Promise.all(Array.from({ length: memberCount * 2 }, freePort));
  const peerUrl = (index: number) => `http://127.0.0.1:${ports[index * 2 + 1]}`;
  const members = Array.from({ length: memberCount }, (_, index) => {
    const names = Array.from({ length: memberCount }, (_one, other) => `m${other}=${peerUrl(other)}`);
    return createMember(join(folder, `m${index}`), `m${index}`, `http://127.0.0.1:${ports[index * 2]}`, peerUrl(index), names.join(","));
  });
  for (const member of members) member.start();
  const leader = async () => {
    const states = await Promise.all(members.map(statusOf));
    return members.find((_, index) => states[index]?.leader !== undefined && states[index].leader === states[index].id);
  };
  const cluster: EtcdCluster = {
    endpoints: members.map(({ endpoint }) => endpoint),
    members,
    leader,
    async [Symbol.asyncDispose]() {
      await Promise.all(members.map((member) => member.stop("SIGKILL")));
      rmSync(folder, { recursive: true, force: true });
    },
  };
  for (const endMs = Date.now() + startDeadlineMs; (await leader()) === undefined; await delay(50)) {
    if (Date.now() < endMs) continue;
    await cluster[Symbol.asyncDispose]();
    throw new Error("etcd does not start; is Debian's package etcd-server installed?");
  }
  return cluster;
}

function createMember(folder: string, name: string, endpoint: string, peer: string, cluster: string): EtcdMember {
  const flags = ["--name", name, "--data-dir", folder, "--initial-cluster", cluster, "--logger=zap", "--log-level=error"];
  flags.push("--listen-client-urls", endpoint, "--advertise-client-urls", endpoint);
  flags.push("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer);
  let child: ChildProcess | undefined;
  return {
    endpoint,
    start() {
      child = spawn("etcd", flags, { stdio: "ignore" });
      // Without the program the deadline says what is missing.
      child.on("error", () => undefined);
    },
    async stop(signal) {
      if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
      child.kill(signal);
      await once(child, "exit");
    },
  };
}

/** From etcd's gateway, which speaks JSON. */
async function statusOf(member: EtcdMember): Promise<{ readonly id: string; readonly leader: string | undefined } | undefined> {
  try {
    const response = await fetch(`${member.endpoint}/v3/maintenance/status`, {
      method: "POST",
      body: "{}",
      signal: AbortSignal.timeout(1_000),
    });
    const status = (await response.json()) as { header: { member_id: string }; leader?: string };
    return { id: status.header.member_id, leader: status.leader };
  } catch {
    return undefined;
  }
}
