import { createHash } from "node:crypto";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";

/** One frame to the client: a channel and what goes over it. */
export type Frame = readonly [channel: number, text: string];

export interface ScriptedExec {
  readonly url: string;
  /** What clients asked for. */
  readonly requests: readonly { readonly url: string; readonly protocol: string; readonly authorization: string }[];
  close(): Promise<void>;
}

/** An API server of which only pods/exec and pods/log work: sends the frames, then closes. `refuse` is answered with that status instead. */
export async function startScriptedExec(answer: () => { frames: readonly Frame[]; refuse?: number }): Promise<ScriptedExec> {
  const requests: { url: string; protocol: string; authorization: string }[] = [];
  const sockets = new Set<Duplex>();
  const server = createServer((request, response) => {
    requests.push({ url: request.url ?? "", protocol: "", authorization: request.headers.authorization ?? "" });
    const { frames, refuse } = answer();
    response.statusCode = refuse ?? 200;
    response.end(refuse === undefined ? frames.map(([, text]) => text).join("") : JSON.stringify({ kind: "Status", message: "not here" }));
  });
  server.on("upgrade", (request: IncomingMessage, socket: Duplex) => {
    sockets.add(socket);
    socket.on("error", () => {}); // The client went away.
    const { "sec-websocket-key": key = "", "sec-websocket-protocol": protocol = "", authorization = "" } = request.headers;
    requests.push({ url: request.url ?? "", protocol, authorization });
    const { frames, refuse } = answer();
    if (refuse !== undefined) return void socket.end(`HTTP/1.1 ${refuse} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
    const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
    const lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade", `Sec-WebSocket-Accept: ${accept}`];
    socket.write([...lines, `Sec-WebSocket-Protocol: ${protocol}`, "", ""].join("\r\n"));
    for (const [channel, text] of frames) socket.write(encodeFrame(2, Buffer.concat([Buffer.of(channel), Buffer.from(text)])));
    socket.write(encodeFrame(8, Buffer.of(3, 232)));
    socket.on("data", () => socket.end());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}

function encodeFrame(opcode: number, payload: Buffer): Buffer {
  const head =
    payload.length < 126
      ? Buffer.of(0x80 | opcode, payload.length)
      : Buffer.of(0x80 | opcode, 126, payload.length >> 8, payload.length & 255);
  return Buffer.concat([head, payload]);
}
