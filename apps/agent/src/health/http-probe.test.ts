import assert from "node:assert/strict";
import { test } from "node:test";
import { openHttpEndpoint } from "@cilium-ts/http-endpoint";
import { probeHttp } from "./http-probe.ts";
import { helloRoutes } from "./responder.ts";

const { signal } = new AbortController();

test("a responder answers, over either family; another server, none and silence are told apart", async () => {
  await using responder = await openHttpEndpoint("responder", { host: undefined, port: 0 }, helloRoutes);
  await using other = await openHttpEndpoint("other", { host: "127.0.0.1", port: 0 }, {});
  for (const address of ["127.0.0.1", "::1"]) assert.ok((await probeHttp(address, responder.port, 5_000, signal)) > 0);
  await assert.rejects(probeHttp("127.0.0.1", other.port, 5_000, signal), /the responder answered 404/);
  await assert.rejects(probeHttp("127.0.0.2", other.port, 5_000, signal), /ECONNREFUSED/);
  await using silent = await openHttpEndpoint(
    "silent",
    { host: "127.0.0.1", port: 0 },
    {
      "/hello": () => {
        throw new Error("never asked: the signal is aborted first");
      },
    },
  );
  const stop = new AbortController();
  stop.abort(new Error("stopped"));
  await assert.rejects(probeHttp("127.0.0.1", silent.port, 5_000, stop.signal), /stopped/);
});
