import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { acceptWebSocket, encodeFrame } from "./websocket-server.ts";

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
    const { "sec-websocket-protocol": protocol = "", authorization = "" } = request.headers;
    requests.push({ url: request.url ?? "", protocol, authorization });
    const { frames, refuse } = answer();
    if (refuse !== undefined) return void socket.end(`HTTP/1.1 ${refuse} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
    acceptWebSocket(request, socket);
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
