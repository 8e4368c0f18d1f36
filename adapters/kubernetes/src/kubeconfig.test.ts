import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { KubeconfigError, loadKubeconfig } from "./kubeconfig.ts";

const pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
const base64 = Buffer.from(pem).toString("base64");

let folder = "";
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "kubeconfig-"));
  await writeFile(join(folder, "ca.crt"), pem);
  await writeFile(join(folder, "not.pem"), "hello");
});
after(() => rm(folder, { recursive: true }));

/** A kubeconfig with one of each; the pieces are YAML flow maps. */
function kubeconfig(pieces: { cluster?: string; user?: string; context?: string; current?: string }): string {
  const { cluster = "{server: https://10.0.0.1:6443}", user = "{token: t}", context = "{cluster: c, user: u}", current = "one" } = pieces;
  return `
apiVersion: v1
kind: Config
current-context: ${current}
contexts: [{name: one, context: ${context}}, {name: other, context: {cluster: c}}]
clusters: [{name: x, cluster: {server: http://wrong}}, {name: c, cluster: ${cluster}}]
users: [{name: u, user: ${user}}]
`;
}

async function load(text: string, options: { context?: string } = {}): Promise<unknown> {
  const path = join(folder, "config");
  await writeFile(path, text);
  return loadKubeconfig(path, options);
}

const server = "https://10.0.0.1:6443";
const good: { name: string; text: string; context?: string; access: unknown }[] = [
  { name: "a token", text: kubeconfig({}), access: { server, token: "t" } },
  { name: "no user", text: kubeconfig({ context: "{cluster: c}" }), access: { server } },
  { name: "another context", text: kubeconfig({}), context: "other", access: { server } },
  {
    name: "certificates in the file",
    text: kubeconfig({
      cluster: `{server: "${server}", certificate-authority-data: ${base64}, tls-server-name: kubernetes}`,
      user: `{client-certificate-data: ${base64}, client-key-data: ${base64}}`,
    }),
    access: { server, ca: pem, tlsServerName: "kubernetes", cert: pem, key: pem },
  },
  {
    name: "certificates in files beside it",
    text: kubeconfig({
      cluster: `{server: "${server}", certificate-authority: ca.crt}`,
      user: "{client-certificate: ./ca.crt, client-key: ca.crt}",
    }),
    access: { server, ca: pem, cert: pem, key: pem },
  },
  {
    name: "data that wins over a path",
    text: kubeconfig({
      cluster: `{server: "${server}", certificate-authority: nowhere, certificate-authority-data: ${base64}}`,
      user: "{}",
    }),
    access: { server, ca: pem },
  },
  {
    name: "no check of the server's certificate",
    text: kubeconfig({ cluster: `{server: "${server}", insecure-skip-tls-verify: true}`, user: "{}" }),
    access: { server, insecureSkipTlsVerify: true },
  },
];

for (const { name, text, context, access } of good) {
  test(`a kubeconfig with ${name}`, async () => {
    assert.deepEqual(await load(text, context === undefined ? {} : { context }), access);
  });
}

test("a token file's path starts at the kubeconfig's folder", async () => {
  assert.deepEqual(await load(kubeconfig({ user: "{tokenFile: token}" })), { server, tokenPath: join(folder, "token") });
});

const bad: { text: string; field: string; message: RegExp; context?: string }[] = [
  { text: "a: [", field: "", message: /is not YAML: / },
  { text: "", field: "", message: /is not a kubeconfig/ },
  { text: "- a", field: "", message: /is not a kubeconfig/ },
  { text: "kind: Config", field: "current-context", message: /is not set: choose one with `kubectl config use-context`/ },
  { text: kubeconfig({ current: "absent" }), field: "contexts", message: /has no "absent", only one, other/ },
  { text: kubeconfig({}), context: "third", field: "contexts", message: /has no "third"/ },
  { text: "current-context: one", field: "contexts", message: /is missing, and "one" should be in it/ },
  { text: kubeconfig({ context: "{user: u}" }), field: "contexts[0].context.cluster", message: /is missing/ },
  { text: kubeconfig({ context: "{cluster: nope}" }), field: "clusters", message: /has no "nope", only x, c/ },
  { text: kubeconfig({ context: "7" }), field: "contexts[0].context", message: /holds no fields/ },
  { text: kubeconfig({ cluster: "{server: 7}" }), field: "clusters[1].cluster.server", message: /must be a string/ },
  {
    text: kubeconfig({ cluster: "{server: 'tcp://1.2.3.4'}" }),
    field: "clusters[1].cluster.server",
    message: /"tcp:\/\/1.2.3.4" is no http or https URL/,
  },
  {
    text: kubeconfig({ cluster: "{server: 'https://a', proxy-url: 'http://p'}" }),
    field: "clusters[1].cluster.proxy-url",
    message: /not supported/,
  },
  {
    text: kubeconfig({ cluster: "{server: 'https://a', certificate-authority: absent.crt}" }),
    field: "clusters[1].cluster.certificate-authority",
    message: /cannot be read: ENOENT/,
  },
  {
    text: kubeconfig({ cluster: "{server: 'https://a', certificate-authority: not.pem}" }),
    field: "clusters[1].cluster.certificate-authority",
    message: /not.pem is not PEM/,
  },
  {
    text: kubeconfig({ cluster: "{server: 'https://a', certificate-authority-data: '####'}" }),
    field: "clusters[1].cluster.certificate-authority-data",
    message: /is not PEM in base64/,
  },
  { text: kubeconfig({ user: "{exec: {command: aws}}" }), field: "users[0].user.exec", message: /use a client certificate or a token/ },
  { text: kubeconfig({ user: "{username: admin}" }), field: "users[0].user.username", message: /not supported/ },
  { text: kubeconfig({ user: `{client-key-data: ${base64}}` }), field: "users[0].user", message: /has a client key without a certificate/ },
];

for (const { text, field, message, context } of bad) {
  test(`a kubeconfig whose ${field === "" ? "text" : field} ${message.source}`, async () => {
    await assert.rejects(load(text, context === undefined ? {} : { context }), (error) => {
      assert.ok(error instanceof KubeconfigError);
      assert.equal(error.field, field);
      assert.match(error.message, message);
      assert.ok(error.message.startsWith(`kubeconfig ${join(folder, "config")}: `));
      return true;
    });
  });
}

test("a kubeconfig that is not there is named", async () => {
  await assert.rejects(loadKubeconfig("/nowhere/config"), /kubeconfig \/nowhere\/config: cannot be read: ENOENT/);
});
