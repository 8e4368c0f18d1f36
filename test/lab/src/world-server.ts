import { createSocket } from "node:dgram";
import { createServer } from "node:net";

/** A machine outside of the cluster: sends back what it is sent, over TCP and UDP on the port of its argument, in both families. */
const port = Number(process.argv[2] ?? "8080");

createServer((socket) => {
  socket.on("error", () => {}); // The client went away.
  socket.pipe(socket);
}).listen({ port, host: "::" });
const udp = createSocket({ type: "udp6" }, (bytes, from) => udp.send(bytes, from.port, from.address));
udp.bind(port, "::");
process.on("SIGTERM", () => process.exit(0));
