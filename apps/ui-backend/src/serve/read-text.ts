import type { IncomingMessage } from "node:http";
import { HttpProblem } from "./answers.ts";

const bodyBytesMax = 1_500_000;

/** The body of a question or a change. */
export async function readText(request: IncomingMessage): Promise<string> {
  if (request.method !== "POST") throw new HttpProblem(405, "POST is needed, with the policies as its body");
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of request) {
    sizeBytes += (chunk as Buffer).length;
    if (sizeBytes > bodyBytesMax) throw new HttpProblem(413, `the text has more than ${bodyBytesMax} bytes`);
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString("utf8");
}
