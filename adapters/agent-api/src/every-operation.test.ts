import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { refusedOperations } from "./refused-operations.ts";
import { Router } from "./router.ts";
import { agentRoutes } from "./routes.ts";
import { scriptedOperations } from "./scripted-operations.ts";

/** Every operation that clients of Cilium's agent know. */
const known = `
  GET /cluster/nodes        GET /healthz               GET /config                PATCH /config
  GET /endpoint             DELETE /endpoint           GET /endpoint/{id}         PUT /endpoint/{id}
  PATCH /endpoint/{id}      DELETE /endpoint/{id}      GET /endpoint/{id}/config  PATCH /endpoint/{id}/config
  GET /endpoint/{id}/labels PATCH /endpoint/{id}/labels GET /endpoint/{id}/log    GET /endpoint/{id}/healthz
  GET /identity             GET /identity/{id}         GET /identity/endpoints    POST /ipam
  POST /ipam/{ip}           DELETE /ipam/{ip}          GET /policy                PUT /policy
  DELETE /policy            GET /policy/selectors      GET /lrp                   GET /service
  GET /prefilter            PATCH /prefilter           DELETE /prefilter          GET /debuginfo
  GET /cgroup-dump-metadata GET /map                   GET /map/{name}            GET /map/{name}/events
  GET /fqdn/cache           DELETE /fqdn/cache         GET /fqdn/cache/{id}       GET /fqdn/names
  GET /ip                   GET /node/ids              GET /bgp/peers             GET /bgp/routes
  GET /bgp/route-policies`
  .trim()
  .split(/\s{2,}|\n|(?<=\S) (?=(?:GET|PATCH|PUT|POST|DELETE) )/)
  .map((operation) => operation.trim())
  .filter((operation) => operation !== "");

const router = new Router(agentRoutes(scriptedOperations([])));
const isRefused = (operation: string): boolean => refusedOperations.some(({ method, path }) => `${method} ${path}` === operation);
const page = readFileSync(join(import.meta.dirname, "../../../docs/agent-api.md"), "utf8");

test("every operation is served, or refused with a reason, and the page says which", () => {
  assert.equal(known.length, 45);
  for (const operation of known) {
    const [method = "", path = ""] = operation.split(" ");
    assert.equal(router.match(method, path.replace(/\{\w+\}/g, "7")).kind, "route", operation);
    const row = page.split("\n").find((line) => line.startsWith(`| \`${operation}\` |`));
    assert.ok(row !== undefined, `${operation} is not in docs/agent-api.md`);
    assert.match(row, isRefused(operation) ? /\| refused: / : /\| served/, operation);
  }
});

test("the page gives the reasons in the words of the agent", () => {
  for (const { method, path, why } of refusedOperations)
    assert.ok(page.includes(`| \`${method} ${path}\` | refused: ${why} |`), `${method} ${path}`);
});
