import { Cluster } from "./cluster.ts";

/** Starts a lab of that name with a pod in it, and leaves it running: for a test that ends this process part-way. */
const cluster = await Cluster.start({ name: process.argv[2] ?? "" });
await cluster.pod("client");
console.log("started");
process.exit(0);
