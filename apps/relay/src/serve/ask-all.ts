import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { errorMessage } from "@cilium-ts/std";
import type { PeerPool } from "../peers/peer-pool.ts";
import type { RelayPeer } from "../peers/relay-peer.ts";

export interface ServicesOptions {
  readonly pool: PeerPool;
  readonly version: string;
  /** How long a node is waited for. */
  readonly nodeTimeoutMs: number;
}

type Answer<Schema extends DescMessage> =
  | { readonly peer: RelayPeer; readonly kind: "answer"; readonly message: MessageShape<Schema> }
  | { readonly peer: RelayPeer; readonly kind: "unavailable" }
  | { readonly peer: RelayPeer; readonly kind: "failure"; readonly reason: string };

/** Every node's answer, or why there is none. */
export function askAll<Schema extends DescMessage>(
  { pool, nodeTimeoutMs }: ServicesOptions,
  path: string,
  schema: Schema,
  signal: AbortSignal,
  request = new Uint8Array(0),
): Promise<Array<Answer<Schema>>> {
  const limited = AbortSignal.any([signal, AbortSignal.timeout(nodeTimeoutMs)]);
  return Promise.all(
    pool.peers().map(async (peer): Promise<Answer<Schema>> => {
      const { connection } = peer;
      if (connection === undefined) return { peer, kind: "unavailable" };
      try {
        return { peer, kind: "answer", message: await connection.unary(path, schema, { signal: limited, request }) };
      } catch (cause) {
        return { peer, kind: "failure", reason: errorMessage(cause) };
      }
    }),
  );
}
