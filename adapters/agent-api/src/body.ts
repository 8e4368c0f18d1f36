import type { IncomingMessage } from "node:http";

/** Of one request. The largest known is an endpoint with some hundred labels: 30 KiB. */
export const bodySizeBytesMax = 1024 * 1024;

/** The body cannot be used: too large, cut off, or no JSON. */
export class BodyProblem extends Error {
  readonly status: 400 | 413;

  constructor(status: 400 | 413, message: string) {
    super(message);
    this.status = status;
  }
}

/** The parsed body; undefined when there is none. */
export async function readJson(request: IncomingMessage): Promise<unknown> {
  const tooLarge = new BodyProblem(413, `the body is larger than ${bodySizeBytesMax} bytes`);
  if (Number(request.headers["content-length"] ?? 0) > bodySizeBytesMax) throw tooLarge;
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  try {
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      sizeBytes += chunk.length;
      if (sizeBytes > bodySizeBytesMax) throw tooLarge;
      chunks.push(chunk);
    }
  } catch (cause) {
    if (cause instanceof BodyProblem) throw cause;
    throw new BodyProblem(400, "the body was cut off");
  }
  const text = Buffer.concat(chunks).toString("utf8");
  if (text.trim() === "") return undefined;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new BodyProblem(400, `the body is not JSON: ${cause instanceof Error ? cause.message : ""}`);
  }
}
