import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer, type IncomingHttpHeaders } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, suite, test } from "node:test";
import { systemClock } from "@cilium-ts/std";
import { eventually } from "@cilium-ts/testing";
import { Backend } from "../running-backend.ts";
import { hubbleFlow, ScriptedHubble } from "../scripted-hubble.ts";
import { parseSettings } from "../settings.ts";
import { RunningProvider } from "./running-provider.ts";

const folder = mkdtempSync(join(tmpdir(), "ui-oidc-"));
after(() => rmSync(folder, { recursive: true }));
const accessPath = join(folder, "access.json");
const secretPath = join(folder, "secret");
const keyPath = join(folder, "key");
writeFileSync(accessPath, JSON.stringify({ users: { ann: ["shop"] }, groups: { "oidc:ops": ["*"] } }));
writeFileSync(secretPath, "a secret of the client's own\n");
writeFileSync(keyPath, "k".repeat(40));

/** Follows redirects and keeps cookies, as a browser does. */
class Visitor {
  readonly cookies = new Map<string, string>();

  async visit(url: string, options: RequestInit = {}): Promise<{ status: number; text: string; url: string; headers: Headers }> {
    for (let left = 20, next = url; left > 0; left -= 1) {
      const response = await fetch(next, { ...options, redirect: "manual", headers: { ...options.headers, cookie: this.#header(next) } });
      for (const cookie of response.headers.getSetCookie()) this.#take(next, cookie);
      const location = response.headers.get("location");
      if (location === null || options.redirect === "manual")
        return { status: response.status, text: await response.text(), url: next, headers: response.headers };
      await response.body?.cancel();
      next = new URL(location, next).href;
    }
    throw new Error("it goes in circles");
  }

  #take(url: string, cookie: string): void {
    const [pair = "", ...attributes] = cookie.split("; ");
    const [name = "", value = ""] = pair.split(/=(.*)/s);
    const isGone = attributes.some((attribute) => /^max-age=0$/i.test(attribute)) || value === "";
    const key = `${new URL(url).host} ${name}`;
    if (isGone) this.cookies.delete(key);
    else this.cookies.set(key, value);
  }

  #header(url: string): string {
    const own = `${new URL(url).host} `;
    return [...this.cookies]
      .filter(([key]) => key.startsWith(own))
      .map(([key, value]) => `${key.slice(own.length)}=${value}`)
      .join("; ");
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** A backend under a sub-path behind a provider, and a clock that can be set forward. */
async function start(environment: Record<string, string> = {}, hubbleAddress = "127.0.0.1:1") {
  await using opened = new AsyncDisposableStack();
  const provider = opened.use(await RunningProvider.start());
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/hubble/`;
  provider.serve(url);
  const clock = { aheadMs: 0 };
  const settings = {
    EVENTS_SERVER_PORT: String(port),
    UI_BASE_PATH: "/hubble/",
    UI_PUBLIC_URL: url,
    UI_OIDC_ISSUER: provider.issuer,
    UI_OIDC_CLIENT_SECRET_FILE: secretPath,
    UI_OIDC_SCOPES: "openid profile email groups",
    UI_OIDC_GROUPS_PREFIX: "oidc:",
    UI_ACCESS_FILE: accessPath,
    UI_SESSION_KEY_FILE: keyPath,
    ...environment,
  };
  const now = Object.assign(Object.create(systemClock) as typeof systemClock, { nowMs: () => systemClock.nowMs() + clock.aheadMs });
  const backend = opened.use(await Backend.start(hubbleAddress, settings, now));
  const running = opened.move();
  return { provider, backend, url, clock, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

suite("signing in at an OpenID provider", () => {
  test("a browser is sent there, comes back to where it was, and sees the namespaces of its user", async () => {
    await using hubble = await ScriptedHubble.start();
    await using running = await start({}, hubble.address);
    const { url } = running;
    const visitor = new Visitor();
    const before = await visitor.visit(`${url}api/who`);
    assert.deepEqual([before.status, before.headers.get("x-hubble-ui-sign-in")], [401, "auth/sign-in"]);
    assert.equal((await visitor.visit(`${url}api/policies`)).status, 401);
    const after = await visitor.visit(`${url}auth/sign-in?to=${encodeURIComponent("?tab=policies&namespace=shop")}`);
    assert.equal(after.url, `${url}?tab=policies&namespace=shop`);
    const who = JSON.parse((await visitor.visit(`${url}api/who`)).text);
    assert.deepEqual(who, { user: "ann", namespaces: ["shop"], canSignOut: true });
    for (const namespace of ["shop", "secret"]) {
      const end = { identity: 1_003, namespace, podName: "web" };
      hubble.see(hubbleFlow(namespace, Date.now(), { source: end, destination: end }));
    }
    const headers = { cookie: [...visitor.cookies].map(([name, value]) => `${name.split(" ")[1]}=${value}`).join("; ") };
    using view = running.backend.view("/hubble/api/view", headers);
    await eventually(() => assert.deepEqual(view.uuids, ["shop"]));
  });

  test("the cookie is for this page alone, and out of the reach of scripts", async () => {
    await using running = await start();
    const visitor = new Visitor();
    await visitor.visit(`${running.url}auth/sign-in`, { redirect: "manual" });
    const sent = await visitor.visit(`${running.url}auth/sign-in`, { redirect: "manual" });
    assert.match(sent.headers.getSetCookie()[0] ?? "", /^hubble-ui-sign-in=[^;]+; Path=\/hubble\/; Max-Age=600; HttpOnly; SameSite=Lax$/);
    const location = new URL(sent.headers.get("location") ?? "");
    assert.equal(location.searchParams.get("code_challenge_method"), "S256");
    for (const name of ["state", "nonce", "code_challenge"]) assert.ok((location.searchParams.get(name) ?? "").length > 20, name);
  });

  test("groups count, and names of others are not taken", async () => {
    await using running = await start();
    running.provider.person = { sub: "eve", groups: ["ops"] };
    const ops = new Visitor();
    await ops.visit(`${running.url}auth/sign-in`);
    assert.equal(JSON.parse((await ops.visit(`${running.url}api/who`)).text).namespaces, null);
    running.provider.person = { sub: "mallory", groups: ["shop"] };
    const mallory = new Visitor();
    await mallory.visit(`${running.url}auth/sign-in`);
    const { status, text } = await mallory.visit(`${running.url}api/who`);
    assert.equal(status, 403);
    assert.match(text, /mallory may see no namespace/);
  });

  test("a wrong state, another browser's answer and a refusal are sentences, and sign nobody in", async () => {
    await using running = await start();
    const visitor = new Visitor();
    const { headers } = await visitor.visit(`${running.url}auth/sign-in`, { redirect: "manual" });
    const state = new URL(headers.get("location") ?? "").searchParams.get("state");
    for (const [who, query, status, said] of [
      [visitor, `code=x&state=forged&iss=${encodeURIComponent(running.provider.issuer)}`, 400, /is not valid: .*state/],
      [new Visitor(), `code=x&state=${state}`, 400, /was not begun in this browser/],
      [
        visitor,
        `error=access_denied&error_description=you%20said%20%3Cno%3E&state=${state}&iss=${encodeURIComponent(running.provider.issuer)}`,
        401,
        /refused: you said &#60;no&#62;/,
      ],
      [visitor, `code=forged&state=${state}&iss=${encodeURIComponent(running.provider.issuer)}`, 401, /refused: /],
    ] as const) {
      const answer = await who.visit(`${running.url}auth/callback?${query}`);
      assert.equal(answer.status, status, answer.text);
      assert.match(answer.text, said);
      assert.match(answer.text, /<h1>You are not signed in<\/h1>/);
      assert.equal((await who.visit(`${running.url}api/who`)).status, 401);
    }
  });

  test("nobody is sent elsewhere after signing in", async () => {
    await using running = await start();
    for (const to of ["https://evil.example/", "//evil.example", "?a=1#b", "/x", "? x"]) {
      const { url } = await new Visitor().visit(`${running.url}auth/sign-in?to=${encodeURIComponent(to)}`);
      assert.equal(url, running.url, to);
    }
  });

  test("forged, foreign and cut cookies are no session; one of another replica with the same key is", async () => {
    await using running = await start();
    const visitor = new Visitor();
    await visitor.visit(`${running.url}auth/sign-in`);
    const [, value = ""] = [...visitor.cookies].find(([key]) => key.includes("hubble-ui-session")) ?? [];
    const whoBy = (cookie: string) => running.backend.ask("/hubble/api/who", { cookie });
    assert.equal((await whoBy(`hubble-ui-session=${value}`)).status, 200);
    const other = await start({ UI_SESSION_KEY_FILE: "" });
    await using _other = other;
    const theirs = new Visitor();
    await theirs.visit(`${other.url}auth/sign-in`);
    const foreign = [...theirs.cookies].find(([key]) => key.includes("hubble-ui-session"))?.[1] ?? "";
    const begun = await new Visitor().visit(`${running.url}auth/sign-in`, { redirect: "manual" });
    const [, unfinished = ""] = /hubble-ui-sign-in=([^;]+)/.exec(begun.headers.getSetCookie().join()) ?? [];
    for (const bad of [foreign, unfinished, value.slice(0, -4), `${value.slice(0, -6)}AAAAAA`, "x", "a.b.c.d.e", ""])
      assert.equal((await whoBy(`hubble-ui-session=${bad}`)).status, 401, bad);
  });

  test("a session that is over is renewed unseen while the provider stands for it, by one question for many requests", async () => {
    await using running = await start();
    const { url, provider, clock } = running;
    const visitor = new Visitor();
    await visitor.visit(`${url}auth/sign-in`);
    clock.aheadMs = 2 * 3_600_000;
    provider.person = { sub: "ann", groups: ["ops"] };
    const cookie = [...visitor.cookies]
      .filter(([key]) => key.includes("session"))
      .map(([key, value]) => `${key.split(" ")[1]}=${value}`)
      .join("; ");
    const answers = await Promise.all([1, 2, 3, 4].map(() => running.backend.ask("/hubble/api/who", { cookie })));
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 200, 200, 200],
    );
    assert.match(answers[0]?.headers.get("set-cookie") ?? "", /hubble-ui-session=/);
    assert.equal(JSON.parse(answers[0]?.text ?? "").namespaces, null, "groups of now count");
    clock.aheadMs = 13 * 3_600_000;
    const over = await visitor.visit(`${url}api/who`);
    assert.equal(over.status, 401, "after UI_SESSION_HOURS nothing is renewed");
  });

  test("a stream ends with what it was opened for", async () => {
    await using hubble = await ScriptedHubble.start();
    await using running = await start({ UI_SESSION_HOURS: "1" }, hubble.address);
    running.provider.givesRefreshTokens = false;
    const visitor = new Visitor();
    await visitor.visit(`${running.url}auth/sign-in`);
    const cookie = [...visitor.cookies].map(([key, value]) => `${key.split(" ")[1]}=${value}`).join("; ");
    using view = running.backend.view("/hubble/api/view", { cookie });
    await eventually(() => assert.ok(view.messages.length > 0));
    running.clock.aheadMs = 3_700_000;
    await Promise.race([
      view.ended,
      new Promise((_resolve, reject) => setTimeout(reject, 10_000, new Error("the stream goes on")).unref()),
    ]);
    assert.equal((await running.backend.ask("/hubble/api/view", { cookie })).status, 401);
  });

  test("a provider that is away is a sentence, keeps sessions waiting, and is found again", async () => {
    await using running = await start();
    const { url, provider, clock } = running;
    const { port } = provider;
    const visitor = new Visitor();
    await visitor.visit(`${url}auth/sign-in`);
    await provider.goAway();
    assert.equal((await visitor.visit(`${url}api/who`)).status, 200, "who is signed in does not notice");
    clock.aheadMs = 2 * 3_600_000;
    const waiting = await visitor.visit(`${url}api/who`);
    assert.equal(waiting.status, 503);
    assert.match(waiting.text, /cannot be asked: .*your session waits for it/);
    await provider.listen(port);
    assert.equal((await visitor.visit(`${url}api/who`)).status, 200);
    const { status } = await new Visitor().visit(`${url}auth/sign-in`);
    assert.equal(status, 404, "the page is not served in this test, and the sign-in ended there");
  });

  test("clocks may differ by a minute, and not by more", async () => {
    await using running = await start();
    running.provider.clockBehindSeconds = 3_630;
    const visitor = new Visitor();
    await visitor.visit(`${running.url}auth/sign-in`);
    assert.equal((await visitor.visit(`${running.url}api/who`)).status, 200);
    running.provider.clockBehindSeconds = 3_900;
    const late = await new Visitor().visit(`${running.url}auth/sign-in`);
    assert.equal(late.status, 400);
    assert.match(late.text, /is not valid/);
  });

  test("more groups than cookies hold are refused with the way out, and many are carried", async () => {
    await using running = await start();
    const groups = (count: number) => Array.from({ length: count }, (_, index) => `a-group-with-a-rather-long-name-${index}`);
    running.provider.person = { sub: "ann", groups: groups(150) };
    const visitor = new Visitor();
    await visitor.visit(`${running.url}auth/sign-in`);
    assert.equal((await visitor.visit(`${running.url}api/who`)).status, 200);
    running.provider.person = { sub: "ann", groups: groups(400) };
    const { status, text } = await new Visitor().visit(`${running.url}auth/sign-in`);
    assert.equal(status, 400);
    assert.match(text, /says 400 groups .* let it send only the groups that matter here/);
  });

  test("where users bring tokens of their own, the cluster is asked with these and nothing of the backend's", async () => {
    const seen: IncomingHttpHeaders[] = [];
    const cluster = createHttpServer((request, response) => {
      if (request.method === "POST") seen.push(request.headers);
      const body = request.method === "POST" ? { status: { allowed: false } } : { kind: "Status", code: 404, details: { name: "web" } };
      response.writeHead(request.method === "POST" ? 201 : 404).end(JSON.stringify(body));
    }).listen(0, "127.0.0.1");
    await once(cluster, "listening");
    await using _closed = new AsyncDisposableStack();
    _closed.defer(() => void cluster.close().closeAllConnections());
    const kubeconfig = join(folder, "config");
    const server = `http://127.0.0.1:${(cluster.address() as AddressInfo).port}`;
    const context = { name: "c", context: { cluster: "c", user: "c" } };
    const users = [{ name: "c", user: { token: "of the backend" } }];
    writeFileSync(
      kubeconfig,
      JSON.stringify({ "current-context": "c", contexts: [context], clusters: [{ name: "c", cluster: { server } }], users }),
    );
    await using running = await start({ UI_CHANGES_AS: "token", UI_KUBECONFIG: kubeconfig });
    const visitor = new Visitor();
    await visitor.visit(`${running.url}auth/sign-in`);
    const policy =
      "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: { name: web, namespace: shop }\nspec: { endpointSelector: {} }\n";
    const { text } = await visitor.visit(`${running.url}api/changes/rights`, { method: "POST", body: policy });
    assert.equal(JSON.parse(text).apply.length, 2, text);
    assert.equal(seen.length, 2);
    for (const { authorization, ...rest } of seen) {
      assert.match(authorization ?? "", /^Bearer eyJ[\w-]+\.[\w-]+\.[\w-]+$/);
      assert.ok(!("impersonate-user" in rest));
    }
  });

  test("who signs out is forgotten here, and sent to sign out at the provider; no other page can do it", async () => {
    await using running = await start();
    const { url } = running;
    const visitor = new Visitor();
    await visitor.visit(`${url}auth/sign-in`);
    const foreign = await visitor.visit(`${url}auth/sign-out`, {
      method: "POST",
      headers: { origin: "https://evil.example", "x-hubble-ui": "1" },
    });
    assert.equal(foreign.status, 403);
    const own = { origin: new URL(url).origin, "x-hubble-ui": "1" };
    const { text } = await visitor.visit(`${url}auth/sign-out`, { method: "POST", headers: own });
    assert.match(JSON.parse(text).location, /\/session\/end\?post_logout_redirect_uri=/);
    assert.equal((await visitor.visit(`${url}api/who`)).status, 401);
  });
});

for (const [settings, problem] of [
  [{ UI_OIDC_ISSUER: "http://login.example.com" }, /UI_OIDC_ISSUER is an address that begins with https/],
  [{ UI_OIDC_ISSUER: "https://login.example.com" }, /needs UI_ACCESS_FILE.*needs UI_PUBLIC_URL/s],
  [{ UI_OIDC_ISSUER: "https://a.example", UI_TRUSTED_USER_HEADER: "x-user" }, /exclude each other/],
  [{ UI_OIDC_ISSUER: "https://a.example", UI_SESSION_HOURS: "0" }, /at least 1/],
] as const) {
  test(`${JSON.stringify(settings)} is refused with a sentence`, () => {
    const parsed = parseSettings(settings);
    assert.ok(parsed.kind === "problems" && problem.test(parsed.problems.join()), JSON.stringify(parsed));
  });
}
