import { createServer, type IncomingMessage } from "node:http";
import { type AddressInfo, connect } from "node:net";
import type { Duplex } from "node:stream";
import { acceptWebSocket, encodeFrame } from "./websocket-server.ts";

export interface ScriptedForward extends AsyncDisposable {
  readonly url: string;
  /** What clients asked for by WebSocket. */
  readonly requests: ReadonlyArray<{ readonly url: string; readonly protocol: string; readonly authorization: string }>;
  /** Tunnels that are open. */
  readonly tunnels: number;
}

export interface ForwardScript {
  /** Where connections to pods lead on this machine; undefined: nobody listens in the pod. */
  readonly podPort: () => number | undefined;
  /** Answered with this status instead. */
  readonly refuse?: () => number | undefined;
  /** What GET of a path answers with; undefined: 404. */
  readonly objects?: (path: string) => object | undefined;
}

const channels = { data: 0, error: 1 } as const;

/** An API server of which only pods/portforward works, as kubelets serve it by WebSocket, and GET of some objects. */
export async function startScriptedForward(script: ForwardScript): Promise<ScriptedForward> {
  const requests: Array<{ url: string; protocol: string; authorization: string }> = [];
  const sockets = new Set<Duplex>();
  const server = createServer((request, response) => {
    const found = script.objects?.(request.url ?? "");
    response.writeHead(found === undefined ? 404 : 200, { "content-type": "application/json" });
    response.end(
      JSON.stringify(
        found ?? {
          kind: "Status",
          status: "Failure",
          reason: "NotFound",
          message: "not here",
          code: 404,
          details: { name: request.url?.split("/").at(-1) },
        },
      ),
    );
  });
  server.on("upgrade", (request: IncomingMessage, socket: Duplex) => {
    const { "sec-websocket-protocol": protocol = "", authorization = "" } = request.headers;
    requests.push({ url: request.url ?? "", protocol, authorization });
    socket.on("error", () => {}); // The client went away.
    const status = script.refuse?.();
    if (status !== undefined) return void socket.end(`HTTP/1.1 ${status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    acceptWebSocket(request, socket);
    serve(socket, Number(new URL(request.url ?? "", "http://server").searchParams.get("ports")), script.podPort());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    get tunnels() {
      return sockets.size;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function serve(socket: Duplex, port: number, podPort: number | undefined): void {
  const send = (channel: number, bytes: Uint8Array): void => void socket.write(encodeFrame(2, Buffer.concat([Buffer.of(channel), bytes])));
  const repeated = Buffer.alloc(2);
  repeated.writeUInt16LE(port);
  for (const channel of Object.values(channels)) send(channel, repeated);
  if (podPort === undefined) {
    send(channels.error, Buffer.from(`connection refused: port ${port} in the pod`));
    return void socket.end(encodeFrame(8, Buffer.of(3, 232)));
  }
  const pod = connect(podPort, "127.0.0.1");
  pod.on("error", () => socket.destroy());
  pod.on("data", (chunk: Buffer) => send(channels.data, chunk));
  pod.on("end", () => socket.end(encodeFrame(8, Buffer.of(3, 232))));
  socket.on("close", () => pod.destroy());
  let held: Buffer = Buffer.alloc(0);
  socket.on("data", (chunk: Buffer) => {
    held = Buffer.concat([held, chunk]);
    for (let frame = takeFrame(held); frame !== undefined; frame = takeFrame(held)) {
      held = frame.rest;
      if (frame.opcode === 8) return void socket.end(encodeFrame(8, frame.payload));
      if (frame.opcode === 2 && frame.payload[0] === channels.data) pod.write(frame.payload.subarray(1));
    }
  });
}

/** The first frame of a client, which masks what it sends; undefined when it is not whole. */
function takeFrame(bytes: Buffer): { readonly opcode: number; readonly payload: Buffer; readonly rest: Buffer } | undefined {
  if (bytes.length < 2) return undefined;
  const short = (bytes[1] ?? 0) & 0x7f;
  const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0;
  if (bytes.length < 2 + lengthBytes + 4) return undefined;
  const length = lengthBytes === 0 ? short : lengthBytes === 2 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
  const start = 2 + lengthBytes + 4;
  if (bytes.length < start + length) return undefined;
  const mask = bytes.subarray(start - 4, start);
  const payload = Buffer.from(bytes.subarray(start, start + length).map((byte, index) => byte ^ (mask[index % 4] ?? 0)));
  return { opcode: (bytes[0] ?? 0) & 0x0f, payload, rest: bytes.subarray(start + length) };
}
