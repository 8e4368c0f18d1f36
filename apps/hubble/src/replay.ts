import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { UsageError } from "@cilium-ts/command-line";
import { type observerpb, parseFlowLine } from "@cilium-ts/observer";
import { errorMessage } from "@cilium-ts/std";
import type { World } from "./world.ts";

/**
 * Flows of a file that an exporter or `-o jsonpb` wrote, `-` for standard input: one JSON object a line, with or without the wrapper
 * around the flow. Of the request, bounds and numbers hold; a line that is none is told by its number.
 */
export async function* replay(
  path: string,
  request: observerpb.GetFlowsRequest,
  world: World,
): AsyncGenerator<observerpb.GetFlowsResponse> {
  if (request.whitelist.length > 0 || request.blacklist.length > 0)
    throw new UsageError("filters cannot be combined with --input-file: they are applied by servers");
  if (request.follow) throw new UsageError("--follow cannot be combined with --input-file: a file has an end");
  const number = Number(request.number);
  const oldest = request.first || request.since !== undefined || number === 0;
  const newest: observerpb.GetFlowsResponse[] = [];
  let count = 0;
  for await (const response of readResponses(path, world)) {
    const timeMs = response.time === undefined ? undefined : timestampMs(response.time);
    if (request.since !== undefined && timeMs !== undefined && timeMs < timestampMs(request.since)) continue;
    if (request.until !== undefined && timeMs !== undefined && timeMs > timestampMs(request.until)) continue;
    if (oldest) {
      yield response;
      count += 1;
      if (count === number) return;
    } else {
      newest.push(response);
      if (newest.length > number) newest.shift();
    }
  }
  yield* newest;
}

async function* readResponses(path: string, world: World): AsyncGenerator<observerpb.GetFlowsResponse> {
  const input = path === "-" ? world.stdin : createReadStream(path);
  let lineNumber = 0;
  try {
    for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
      lineNumber += 1;
      if (line.trim() !== "") yield parseFlowLine(line);
    }
  } catch (cause) {
    throw new UsageError(
      lineNumber === 0
        ? `--input-file ${path} cannot be read: ${errorMessage(cause)}`
        : `${path}, line ${lineNumber} is no flow in JSON: ${errorMessage(cause)}`,
    );
  }
}
