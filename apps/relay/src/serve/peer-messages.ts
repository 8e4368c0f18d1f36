import { type CallOptions, type GrpcConnection, grpcHeaderBytes, readResponseFields } from "@cilium-ts/observer";
import type { Message } from "../merge/held-messages.ts";
import type { ResumePoint } from "../merge/resume-point.ts";

export interface PeerMessagesOptions extends CallOptions {
  readonly connection: GrpcConnection;
  readonly path: string;
  readonly request: Uint8Array;
  readonly resume: ResumePoint;
  readonly nowMs: () => number;
}

/** What a node answers, without what it told before. */
export async function* peerMessages(options: PeerMessagesOptions): AsyncGenerator<Message[], void> {
  const { connection, path, request, resume, nowMs } = options;
  for await (const frames of connection.stream(path, request, options)) {
    const arrivedMs = nowMs();
    const messages: Message[] = [];
    for (const frame of frames) {
      const { kind, timeMs } = readResponseFields(frame, grpcHeaderBytes);
      if (kind === 1 && !resume.note(frame, timeMs)) continue;
      // A clock that is ahead must not hold its messages back.
      messages.push({ frame, kind, timeMs: Number.isNaN(timeMs) ? arrivedMs : Math.min(timeMs, arrivedMs) });
    }
    if (messages.length > 0) yield messages;
  }
}
