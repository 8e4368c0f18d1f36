import assert from "node:assert/strict";
import { test } from "node:test";
import { done } from "./answer.ts";
import { Router, route } from "./router.ts";

const router = new Router([
  route("GET", "/identity", async () => done),
  route("GET", "/identity/endpoints", async () => done),
  route("GET", "/identity/{id}", async () => done),
  route("PUT", "/endpoint/{id}", async () => done),
  route("DELETE", "/endpoint/{id}", async () => done),
  route("GET", "/endpoint/{id}/log", async () => done),
]);

const rows: { method: string; path: string; match: unknown }[] = [
  { method: "GET", path: "/identity", match: "/identity {}" },
  { method: "GET", path: "/identity/", match: "/identity {}" },
  { method: "GET", path: "/identity/endpoints", match: "/identity/endpoints {}" },
  { method: "GET", path: "/identity/300", match: '/identity/{id} {"id":"300"}' },
  { method: "PUT", path: "/endpoint/cep-name:default%2Fclient", match: '/endpoint/{id} {"id":"cep-name:default/client"}' },
  { method: "GET", path: "/endpoint/7/log", match: '/endpoint/{id}/log {"id":"7"}' },
  { method: "POST", path: "/endpoint/7", match: { kind: "other-method", allowed: ["PUT", "DELETE"] } },
  { method: "GET", path: "/endpoint", match: { kind: "none" } },
  { method: "GET", path: "/endpoint/7/logs", match: { kind: "none" } },
  { method: "GET", path: "/identity/1/2/3", match: { kind: "none" } },
  { method: "GET", path: "/identity/%zz", match: { kind: "bad-escape" } },
  { method: "GET", path: "/constructor", match: { kind: "none" } },
];

for (const { method, path, match } of rows) {
  test(`${method} ${path}`, () => {
    const found = router.match(method, path);
    assert.deepEqual(found.kind === "route" ? `${found.route.path} ${JSON.stringify(found.parameters)}` : found, match);
  });
}

test("two routes for one thing are our own mistake", () => {
  const twice = route("GET", "/map", async () => done);
  assert.throws(() => new Router([twice, twice]), /GET \/map is routed twice/);
  assert.throws(
    () => new Router([route("GET", "/map/{name}", async () => done), route("PUT", "/map/{id}", async () => done)]),
    /calls \{id\} \{name\}/,
  );
});
