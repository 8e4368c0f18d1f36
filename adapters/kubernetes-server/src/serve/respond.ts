import type { ServerResponse } from "node:http";
import { stringify } from "yaml";
import type { Mutable } from "../schema/schema.ts";
import type { ApiError } from "./api-error.ts";
import { asJson, type Representation } from "./negotiate.ts";

const warningsMax = 16;

/** `Warning: 299 - "…"`, which kubectl shows to the user. */
export function setWarnings(response: ServerResponse, warnings: readonly string[]): void {
  if (warnings.length === 0) return;
  const shown = warnings.slice(0, warningsMax);
  const quoted = shown.map(
    (text) =>
      `299 - "${text
        .replace(/[^\x20-\x7e]/g, "?")
        .replace(/["\\]/g, "\\$&")
        .slice(0, 512)}"`,
  );
  response.setHeader("Warning", quoted);
}

export function sendText(response: ServerResponse, code: number, contentType: string, text: string): void {
  sendBytes(response, code, contentType, Buffer.from(text));
}

export function sendBytes(response: ServerResponse, code: number, contentType: string, body: Buffer): void {
  response.writeHead(code, { "Content-Type": contentType, "Content-Length": body.length, "Cache-Control": "no-cache, private" });
  response.end(body);
}

/** Text that is JSON already, in the encoding that was asked for. */
export function sendJsonText(response: ServerResponse, code: number, representation: Representation, text: string): void {
  const body = representation.encoding === "yaml" ? stringify(JSON.parse(text), { aliasDuplicateObjects: false }) : `${text}\n`;
  sendText(response, code, representation.contentType, body);
}

export function sendDocument(response: ServerResponse, code: number, document: Mutable): void {
  sendJsonText(response, code, asJson, JSON.stringify(document));
}

export function sendError(response: ServerResponse, error: ApiError): void {
  if (response.headersSent) {
    // The answer has begun; to break it off is the only way left to say that it is not whole.
    response.destroy();
    return;
  }
  const retryAfter = error.details?.retryAfterSeconds;
  if (retryAfter !== undefined) response.setHeader("Retry-After", String(retryAfter));
  if (error.code === 401) response.setHeader("WWW-Authenticate", "Bearer");
  // What is left of a body that was refused is not worth reading.
  if (error.code === 413) response.setHeader("Connection", "close");
  sendDocument(response, error.code, error.toStatus());
}

/** Writes pieces as fast as the client takes them. */
export async function sendPieces(response: ServerResponse, representation: Representation, pieces: Iterable<string>): Promise<void> {
  if (representation.encoding === "yaml") {
    sendJsonText(response, 200, representation, [...pieces].join(""));
    return;
  }
  const gone = Promise.withResolvers<void>();
  response.once("close", gone.resolve);
  for (const piece of pieces) {
    if (!response.headersSent)
      response.writeHead(200, { "Content-Type": representation.contentType, "Cache-Control": "no-cache, private" });
    if (response.destroyed) return;
    const isTaken = response.write(piece);
    const { promise, resolve } = Promise.withResolvers<void>();
    if (isTaken) setImmediate(resolve);
    else response.once("drain", resolve);
    await Promise.race([promise, gone.promise]);
  }
  response.end("\n");
}
