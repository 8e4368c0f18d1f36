import assert from "node:assert/strict";
import { createPrivateKey } from "node:crypto";
import { get as getSecure } from "node:https";
import { test } from "node:test";
import { issueCertificate, type KeyPair } from "@cilium-ts/certificates";
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

function issue(commonName: string, use: "authority" | "server" | "client", issuer?: KeyPair): KeyPair {
  const subject = { commonName, organizations: [] };
  const life = { notBeforeMs: Date.now() - 60_000, notAfterMs: Date.now() + 3_600_000 };
  const by = issuer === undefined ? undefined : { subject: { commonName: "ca", organizations: [] }, key: createPrivateKey(issuer.key) };
  return issueCertificate({ subject, use, names: use === "server" ? ["localhost"] : [], ...life }, by);
}

test("by TLS it is read by those whose authority it knows, and certificates are replaced while it serves", async () => {
  const ca = issue("ca", "authority");
  const server = { pair: issue("one", "server", ca), authorities: [ca.certificate] };
  let replace: (next: typeof server) => void = () => {};
  const tls = {
    current: server,
    watch(listener: typeof replace) {
      replace = listener;
      return () => {};
    },
  };
  await using endpoint = await openHttpEndpoint(
    "metrics",
    anyPort,
    { "/": () => ({ status: 200, contentType: "text/plain", body: "ok" }) },
    tls,
  );
  const read = (client?: KeyPair): Promise<string> =>
    new Promise((resolve, reject) => {
      const proof = client === undefined ? {} : { cert: client.certificate, key: client.key };
      const options = {
        host: "127.0.0.1",
        port: endpoint.port,
        servername: "localhost",
        ca: ca.certificate,
        agent: false,
        ...proof,
      } as const;
      getSecure(options, (response) => {
        const socket = response.socket as unknown as { getPeerCertificate(): { subject: { CN: string } } };
        resolve(`${response.statusCode} ${socket.getPeerCertificate().subject.CN}`);
        response.resume();
      }).on("error", reject);
    });
  const client = issue("prometheus", "client", ca);
  assert.equal(await read(client), "200 one");
  await assert.rejects(read());
  replace({ ...server, pair: issue("two", "server", ca) });
  assert.equal(await read(client), "200 two");
});
