import { get } from "node:http";

/** Seconds until another agent's responder has said that it is there. Rejects with what is wrong, or with the signal's reason. */
export async function probeHttp(address: string, port: number, timeoutMs: number, signal: AbortSignal): Promise<number> {
  signal.throwIfAborted();
  const beganMs = performance.now();
  const late = AbortSignal.timeout(timeoutMs);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const host = address.includes(":") ? `[${address}]` : address;
  const request = get(`http://${host}:${port}/hello`, { agent: false, signal: AbortSignal.any([signal, late]) }, (response) => {
    response.resume();
    if (response.statusCode === 200) resolve();
    else reject(new Error(`the responder answered ${response.statusCode}`));
  });
  request.once("error", (cause) => {
    if (signal.aborted) reject(signal.reason);
    else reject(late.aborted ? new Error("no answer over HTTP") : cause);
  });
  await promise;
  return (performance.now() - beganMs) / 1_000;
}
