import { createServer } from "node:http";

/** What a demo pod runs: HTTP on the port of its first argument, both families, saying who answered whom. */
const port = Number(process.argv[2] ?? "8080");
const name = process.argv[3] ?? "pod";

const server = createServer((request, response) => {
  response.setHeader("content-type", "text/plain");
  response.end(`${name} answers ${request.socket.remoteAddress}: ${request.method} ${request.url}\n`);
});
server.listen({ port, host: "::", ipv6Only: false });
process.on("SIGTERM", () => process.exit(0));
