import type { NetlinkSocket } from "@cilium-ts/kernel";
import type { Change } from "./backend.ts";
import type { KernelTable } from "./kernel-tables.ts";
import { decodeMessages } from "./message-reader.ts";

/** The changes that arrive on a socket that has joined a table's groups. The socket is closed with the signal or the loop. */
export function watchChanges<Row>(socket: NetlinkSocket, table: KernelTable<Row>, signal: AbortSignal): AsyncIterable<Change<Row>> {
  const close = once(() => {
    signal.removeEventListener("abort", close);
    socket[Symbol.dispose]();
  });
  if (signal.aborted) close();
  else signal.addEventListener("abort", close, { once: true }); // For watches that nobody ever loops over.
  return changes(socket, table, signal, close);
}

async function* changes<Row>(
  socket: NetlinkSocket,
  table: KernelTable<Row>,
  signal: AbortSignal,
  close: () => void,
): AsyncGenerator<Change<Row>, void> {
  if (signal.aborted) return;
  try {
    for await (const batch of socket.receive(signal)) {
      if (batch.length === 0) yield { kind: "overflow" };
      else yield* decodeChanges(batch, table);
      if (signal.aborted) return;
    }
  } finally {
    close();
  }
}

/** Notifications of other tables (a bridge's ports come as links of a family of their own) are passed over. */
export function* decodeChanges<Row>(batch: Uint8Array, table: KernelTable<Row>): Generator<Change<Row>, void> {
  for (const message of decodeMessages(batch)) {
    if (message.type !== table.set && message.type !== table.removed) continue;
    const row = table.decode(message.payload);
    if (row !== undefined) yield { kind: message.type === table.set ? "set" : "removed", row };
  }
}

function once(action: () => void): () => void {
  let done = false;
  return () => {
    if (done) return;
    done = true;
    action();
  };
}
