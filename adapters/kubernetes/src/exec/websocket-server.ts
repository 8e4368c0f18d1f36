import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";

/** Says yes to a client that wants to speak WebSocket, by the protocol that it names. For scripted servers. */
export function acceptWebSocket({ headers }: IncomingMessage, socket: Duplex): void {
  const { "sec-websocket-key": key = "", "sec-websocket-protocol": protocol = "" } = headers;
  const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
  const lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade", `Sec-WebSocket-Accept: ${accept}`];
  socket.write([...lines, `Sec-WebSocket-Protocol: ${protocol}`, "", ""].join("\r\n"));
}

/** A whole message of a server, which masks nothing. */
export function encodeFrame(opcode: number, payload: Buffer): Buffer {
  const { length } = payload;
  const head = length < 126 ? Buffer.of(0x80 | opcode, length) : Buffer.of(0x80 | opcode, length < 65_536 ? 126 : 127);
  const size = Buffer.alloc(length < 126 ? 0 : length < 65_536 ? 2 : 8);
  if (size.length === 2) size.writeUInt16BE(length);
  if (size.length === 8) size.writeBigUInt64BE(BigInt(length));
  return Buffer.concat([head, size, payload]);
}
