import { decodeAcknowledgement, decodeMessages } from "./message-reader.ts";
import { messageFlag, messageType } from "./wire.ts";

/** All that came back for one request. */
export interface Answer {
  /** Undefined: not acknowledged. */
  errno: number | undefined;
  detail: string;
  interrupted: boolean;
  readonly rows: { readonly type: number; readonly payload: Uint8Array }[];
}

/** By sequence number. */
export function decodeAnswers(received: Uint8Array): Map<number, Answer> {
  const answers = new Map<number, Answer>();
  for (const message of decodeMessages(received)) {
    let answer = answers.get(message.sequence);
    if (answer === undefined) {
      answer = { errno: undefined, detail: "", interrupted: false, rows: [] };
      answers.set(message.sequence, answer);
    }
    const done = message.type === messageType.done;
    if (message.type !== messageType.error && (message.flags & messageFlag.dumpInterrupted) !== 0) answer.interrupted = true;
    if (done || message.type === messageType.error) Object.assign(answer, decodeAcknowledgement(message));
    else answer.rows.push({ type: message.type, payload: message.payload });
  }
  return answers;
}
