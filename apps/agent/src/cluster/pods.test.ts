import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubernetesClient, KubernetesObject, ObjectName, Resource } from "@cilium-ts/kubernetes";
import { podFrom } from "@cilium-ts/kubernetes";
import { Pods } from "./pods.ts";

const signal = new AbortController().signal;

function podObject(uid: string, app: string): KubernetesObject {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { namespace: "shop", name: "web", uid, labels: { app } },
    spec: { nodeName: "node1", containers: [{ name: "main" }] },
  } as KubernetesObject;
}

const shop = { name: "shop", labels: { team: "red" }, annotations: {} };

function createPods(server: Readonly<Record<string, KubernetesObject>> = {}): { pods: Pods; asked: string[]; changed: string[] } {
  const asked: string[] = [];
  const changed: string[] = [];
  const client: Pick<KubernetesClient, "get"> = {
    async get(resource: Resource, { name }: ObjectName) {
      asked.push(`${resource.plural}/${name}`);
      return server[`${resource.plural}/${name}`];
    },
  };
  const onChange = (namespace: string, name: string): void => void changed.push(`${namespace}/${name}`);
  return { pods: new Pods({ client: client as KubernetesClient, clusterName: "default", onChange }), asked, changed };
}

test("a pod is not known before its namespace, whose labels are part of its identity", () => {
  const { pods, changed } = createPods();
  pods.upsertPod(podFrom(podObject("1", "web")));
  assert.equal(pods.known("shop", "web"), undefined);
  pods.upsertNamespace(shop);
  assert.ok(pods.known("shop", "web")?.labels.format().includes("k8s:io.cilium.k8s.namespace.labels.team=red"));
  assert.deepEqual(changed, ["shop/web", "shop/web"], "who waits for the pod is told again");
});

test("the server is asked for a pod that the watch has not brought yet", async () => {
  const { pods, asked } = createPods({ "pods/web": podObject("1", "web") });
  pods.upsertNamespace(shop);
  assert.equal((await pods.find("shop", "web", "1", signal))?.uid, "1");
  assert.deepEqual(asked, ["pods/web", "namespaces/shop"]);
  assert.equal(await pods.find("shop", "absent", "2", signal), undefined);
});

test("the server is asked when the watch still speaks of a former pod of that name", async () => {
  const { pods, asked } = createPods({ "pods/web": podObject("2", "other") });
  pods.upsertNamespace(shop);
  pods.upsertPod(podFrom(podObject("1", "web")));
  assert.ok((await pods.find("shop", "web", "1", signal))?.labels.has("k8s", "app"));
  assert.deepEqual(asked, []);
  assert.equal((await pods.find("shop", "web", "2", signal))?.labels.get("k8s", "app"), "other");
});
