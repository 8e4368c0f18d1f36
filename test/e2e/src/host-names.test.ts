import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually, requireKernel } from "@cilium-ts/testing";
import { Cluster, labName, withoutHealthEndpoint } from "./cluster.ts";
import { families, type Workload } from "./workload-client.ts";

/** What nodes may ask a name server for; all else they do is their own affair. */
const asking = {
  nodeSelector: {},
  enableDefaultDeny: { ingress: false, egress: false },
  egress: [
    {
      toEndpoints: [{ matchLabels: { app: "names", "k8s:io.kubernetes.pod.namespace": "default" } }],
      toPorts: [{ ports: [{ port: "53", protocol: "ANY" }], rules: { dns: [{ matchPattern: "*.test" }] } }],
    },
  ],
};

describe("rules about names that a node asks for", { skip: requireKernel() }, () => {
  let cluster: Cluster;
  let host: Workload;
  let names: Workload;
  before(async () => {
    cluster = await Cluster.start({ nodes: 2, agentArguments: ["--enable-host-firewall", "true", ...withoutHealthEndpoint] });
    host = await cluster.host();
    names = await cluster.pod("names", { node: "node2" });
    const records = ["--host-record=www.test,192.0.2.7,2001:db8::7", "--host-record=www.elsewhere,192.0.2.8,2001:db8::8"];
    const quiet = ["--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--user=root", "--no-resolv", "--no-hosts"];
    cluster.lab.startInPod("default/names", "names", ["dnsmasq", ...quiet, "--bind-interfaces", ...records]);
    await eventually(async () => assert.deepEqual(await host.resolve("www.elsewhere", names, "ipv4"), ["192.0.2.8"]));
    const object = { apiVersion: "cilium.io/v2", kind: "CiliumClusterwideNetworkPolicy", metadata: { name: labName }, spec: asking };
    await cluster.lab.kubectl.apply(JSON.stringify(object));
  });
  after(() => cluster?.[Symbol.asyncDispose]());

  for (const family of families)
    test(`it is answered what a rule lets be asked for, and refused what none does: ${family}`, async () => {
      await eventually(async () => assert.equal(await host.resolve("www.elsewhere", names, family), "EREFUSED"));
      assert.deepEqual(await host.resolve("www.test", names, family), [family === "ipv4" ? "192.0.2.7" : "2001:db8::7"]);
    });
});
