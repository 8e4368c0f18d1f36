/**
 * What runs inside of the test's pods. These functions travel as text (`node --eval`), into an image that has Node and nothing of ours:
 * each must do with what it is given, and with what Node has built in.
 */

export type Protocol = "tcp" | "udp" | "icmp";

export interface Probe {
  readonly id: number;
  readonly protocol: Protocol;
  readonly address: string;
  /** 0 for icmp. */
  readonly port: number;
  readonly timeoutMs: number;
  /** Whether it is enough that the connection stands: of a server that is not ours. */
  readonly connectOnly: boolean;
}

export interface ProbeResult {
  readonly id: number;
  /** `answered`, `timeout`, or the code of an error, such as `ECONNREFUSED`. */
  readonly outcome: string;
  /** By which the flows of this very probe are known; 0 for icmp. */
  readonly localPort: number;
}

/** `node --eval SCRIPT ARGUMENTS...` */
export function serverCommand(ports: readonly string[]): string[] {
  return ["node", "--eval", `(${serve})(process.argv.slice(1))`, ...ports];
}

export function probeCommand(probes: readonly Probe[]): string[] {
  return ["node", "--eval", `(${probeAll})(JSON.parse(process.argv[1]))`, JSON.stringify(probes)];
}

/** Sends back what it is sent, over every port of the arguments (`tcp/8080`), in both families. */
function serve(ports: readonly string[]): void {
  const net = process.getBuiltinModule("node:net");
  const dgram = process.getBuiltinModule("node:dgram");
  for (const text of ports) {
    const [protocol, portText] = text.split("/");
    const port = Number(portText);
    if (protocol === "tcp") {
      const server = net.createServer({ noDelay: true }, (socket) => {
        socket.on("error", () => {});
        socket.pipe(socket);
      });
      server.listen({ port, host: "::" });
    } else {
      const server = dgram.createSocket("udp6", (bytes, from) => server.send(bytes, from.port, from.address));
      server.bind(port, "::");
    }
  }
  process.on("SIGTERM", () => process.exit(0));
}

/** Tries all probes at once, and prints what came of each as JSON. */
function probeAll(probes: readonly Probe[]): void {
  const net = process.getBuiltinModule("node:net");
  const dgram = process.getBuiltinModule("node:dgram");
  const { execFile } = process.getBuiltinModule("node:child_process");

  const overTcp = (probe: Probe): Promise<[string, number]> =>
    new Promise((resolve) => {
      const socket = net.connect({ host: probe.address, port: probe.port, noDelay: true });
      let localPort = 0;
      const end = (outcome: string): void => {
        localPort ||= socket.localPort ?? 0;
        resolve([outcome, localPort]);
        socket.destroy();
      };
      socket.on("connect", () => {
        localPort = socket.localPort ?? 0;
        if (probe.connectOnly) end("answered");
        else socket.write("x");
      });
      socket.on("data", () => end("answered"));
      socket.on("error", (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
      setTimeout(() => end("timeout"), probe.timeoutMs);
    });

  const overUdp = (probe: Probe): Promise<[string, number]> =>
    new Promise((resolve) => {
      const socket = dgram.createSocket(probe.address.includes(":") ? "udp6" : "udp4");
      let localPort = 0;
      let done = false;
      const end = (outcome: string): void => {
        if (done) return;
        done = true;
        resolve([outcome, localPort]);
        socket.close();
      };
      socket.on("message", () => end("answered"));
      socket.on("error", (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
      socket.connect(probe.port, probe.address, () => {
        localPort = socket.address().port;
        socket.send("x");
      });
      setTimeout(() => end("timeout"), probe.timeoutMs);
    });

  const overIcmp = (probe: Probe): Promise<[string, number]> =>
    new Promise((resolve) => {
      const seconds = String(Math.max(1, Math.ceil(probe.timeoutMs / 1000)));
      execFile("ping", ["-c", "1", "-W", seconds, probe.address], (error) => {
        const outcome = error === null ? "answered" : error.code === 1 ? "timeout" : `ping: ${error.message.split("\n")[0]}`;
        resolve([outcome, 0]);
      });
    });

  const one = { tcp: overTcp, udp: overUdp, icmp: overIcmp };
  void Promise.all(
    probes.map(async (probe) => {
      const [outcome, localPort] = await one[probe.protocol](probe);
      return { id: probe.id, outcome, localPort };
    }),
  ).then((results) => {
    process.stdout.write(JSON.stringify(results), () => process.exit(0));
  });
}
