import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually, freePort } from "@cilium-ts/testing";

/** As a container runtime would: a file system that cannot be written but for /tmp, nothing of the host, and a user without rights. */
const start = `set -e
mount --bind "$ROOT" "$ROOT"
mount --bind "$SETTINGS" "$ROOT/etc/nginx/ui"
mount -t tmpfs -o mode=1777 tmpfs "$ROOT/tmp"
mount -o remount,bind,ro "$ROOT"
mount -o remount,bind,ro "$ROOT/etc/nginx/ui"
exec chroot --userspec=65532:65532 --groups= "$ROOT" /usr/sbin/nginx -e stderr -c /etc/nginx/nginx.conf`;

/** The content of Hubble UI's image, as a process. Needs root. */
export class NginxProcess implements AsyncDisposable {
  readonly port: number;
  readonly #process: ChildProcess;
  readonly #settings: string;
  readonly #said: string[] = [];

  /** Throws with what nginx said when it does not serve. */
  static async start(root: string, backendPort: number): Promise<NginxProcess> {
    const settings = mkdtempSync(join(tmpdir(), "ui-nginx-"));
    chmodSync(settings, 0o755);
    const port = await freePort();
    writeFileSync(join(settings, "listen.conf"), `listen 127.0.0.1:${port};\n`);
    writeFileSync(join(settings, "backend.conf"), `upstream backend { server 127.0.0.1:${backendPort}; keepalive 16; }\n`);
    const child = spawn("unshare", ["--mount", "--propagation", "private", "sh", "-c", start], {
      env: { PATH: process.env.PATH, ROOT: root, SETTINGS: settings },
      stdio: ["ignore", "ignore", "pipe"],
    });
    const nginx = new NginxProcess(child, port, settings);
    try {
      await eventually(async () => void (await fetch(`http://127.0.0.1:${port}/healthz`)));
    } catch (cause) {
      await nginx[Symbol.asyncDispose]();
      throw new Error(`nginx does not serve: ${nginx.#said.join("")}`, { cause });
    }
    return nginx;
  }

  private constructor(child: ChildProcess, port: number, settings: string) {
    this.#process = child;
    this.port = port;
    this.#settings = settings;
    child.stderr?.on("data", (text: Buffer) => {
      if (this.#said.length < 100) this.#said.push(text.toString());
    });
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** What it said, which is nothing when all is well. */
  get said(): string {
    return this.#said.join("");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      this.#process.kill("SIGTERM");
      await once(this.#process, "exit");
    }
    rmSync(this.#settings, { recursive: true });
  }
}
