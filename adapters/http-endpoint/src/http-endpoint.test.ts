import assert from "node:assert/strict";
import { test } from "node:test";
import { openHttpEndpoint } from "./http-endpoint.ts";

const anyPort = { host: "127.0.0.1", port: 0 };

async function get(port: number, path: string, method = "GET", headers: Record<string, string> = {}): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { method, headers });
  return `${response.status} ${response.headers.get("content-type")} ${await response.text()}`;
}

test("other paths are not found, other methods are not allowed", async () => {
  await using api = await openHttpEndpoint("API", anyPort, {
    "/healthz": (headers) => ({ status: 200, contentType: "text/plain", body: headers["x-body"] === undefined ? "ok" : "asked" }),
  });
  for (const path of ["/", "/constructor", "/__proto__"]) assert.match(await get(api.port, path), /^404 /);
  assert.match(await get(api.port, "/healthz", "POST"), /^405 /);
  assert.equal(await get(api.port, "/healthz", "HEAD"), "200 text/plain ");
  assert.equal(await get(api.port, "/healthz?x=y", "GET", { "x-body": "1" }), "200 text/plain asked");
});

test("an address that is taken is named, with the way out", async () => {
  await using first = await openHttpEndpoint("API", anyPort, {});
  const again = openHttpEndpoint("API", { host: "127.0.0.1", port: first.port }, {});
  await assert.rejects(again, new RegExp(`the API cannot be served on 127\\.0\\.0\\.1:${first.port}; choose another address`));
});
