import { connect } from "node:net";
import { createInterface } from "node:readline";

/** In a pod's namespace: for each address on standard input, says it again as soon as its owner answers. A refused connection is an answer. */
const attemptMs = 5;
const timeoutMs = 200;

for await (const address of createInterface({ input: process.stdin })) {
  while (!(await answers(address))) await new Promise((resolve) => setTimeout(resolve, attemptMs));
  process.stdout.write(`${address}\n`);
}

function answers(host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port: 9, timeout: timeoutMs });
    const end = (isAnswer: boolean): void => {
      socket.destroy();
      resolve(isAnswer);
    };
    socket.once("connect", () => end(true));
    socket.once("timeout", () => end(false));
    socket.once("error", (error: NodeJS.ErrnoException) => end(error.code === "ECONNREFUSED"));
  });
}
