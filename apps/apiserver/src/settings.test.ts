import assert from "node:assert/strict";
import { test } from "node:test";
import { parseSettings } from "./settings.ts";

test("flags become settings", () => {
  const parsed = parseSettings([
    "--state-dir",
    "/s",
    "--listen",
    "[::1]:0",
    "--advertise-address",
    "10.0.0.1",
    "--advertise-address",
    "api.local",
    "--kubeconfig-out",
    "/k",
  ]);
  assert.deepEqual(parsed, {
    outcome: "settings",
    settings: {
      stateDir: "/s",
      host: "::1",
      port: 0,
      advertiseAddresses: ["10.0.0.1", "api.local"],
      kubeconfigOut: "/k",
      tokenFile: undefined,
      serviceRanges: [{ family: 4, text: "10.96.0.0/16", first: 0x0a600001n, count: 65_534n }],
      etcd: undefined,
    },
  });
});

test("etcd is given by its URLs", () => {
  const parsed = parseSettings(["--etcd-servers", "https://a:2379,https://b:2379", "--etcd-cafile", "/ca"]);
  assert.deepEqual(parsed.outcome === "settings" && parsed.settings.etcd, {
    endpoints: ["https://a:2379", "https://b:2379"],
    prefix: "/cilium-ts",
    authorityFile: "/ca",
    certificateFile: undefined,
    keyFile: undefined,
  });
});

test("without flags the defaults hold", () => {
  const parsed = parseSettings([]);
  assert.ok(parsed.outcome === "settings");
  assert.deepEqual(
    [parsed.settings.host, parsed.settings.port, parsed.settings.stateDir],
    ["127.0.0.1", 6443, "/var/lib/cilium-apiserver"],
  );
});

const wrong: readonly [readonly string[], RegExp][] = [
  [["--frob"], /unknown option '--frob'/],
  [["extra"], /too many arguments/],
  [["--listen", "localhost"], /--listen must be host:port .* not "localhost"/],
  [["--listen", "1.2.3.4:70000"], /--listen must be host:port/],
  [["--listen", "[not-an-address]:1"], /--listen must be host:port/],
  [["--listen"], /argument missing/],
  [["--advertise-address", "a b"], /--advertise-address must be an address or a DNS name, not "a b"/],
  [["--state-dir", ""], /--state-dir must name a folder/],
  [["--etcd-servers", "127.0.0.1:2379"], /--etcd-servers must be URLs such as http:.* not "127\.0\.0\.1:2379"/],
  [["--etcd-servers", "http://a:1,"], /--etcd-servers must be URLs .* not ""/],
  [["--etcd-servers", "http://a:1", "--etcd-prefix", "x"], /--etcd-prefix must be a path that begins with a slash/],
  [["--etcd-servers", "https://a:1", "--etcd-keyfile", "k"], /--etcd-certfile and --etcd-keyfile need each other/],
  [["--service-cluster-ip-range", "10.0.0.0"], /--service-cluster-ip-range: "10\.0\.0\.0" is no range/],
  [["--service-cluster-ip-range", "10.0.0.0/16,10.1.0.0/16"], /one range of each family/],
  [["--etcd-cafile", "c"], /need --etcd-servers/],
];
for (const [flags, problem] of wrong) {
  test(`refused: ${flags.join(" ")}`, () => {
    const parsed = parseSettings(flags);
    assert.ok(parsed.outcome === "problem");
    assert.match(parsed.problem, problem);
    assert.ok(!parsed.problem.includes("\n"));
  });
}
