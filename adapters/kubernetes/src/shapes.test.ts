import assert from "node:assert/strict";
import { test } from "node:test";
import { Labels } from "@cilium-ts/labels";
import { ciliumEndpointObject } from "./cilium-endpoint.ts";
import { ciliumIdentityFrom, ciliumIdentityObject } from "./cilium-identity.ts";
import { ciliumNodeFrom, ciliumNodeObject } from "./cilium-node.ts";
import type { KubernetesObject } from "./kubernetes-object.ts";
import { namespaceFrom } from "./namespace.ts";
import { nodeFrom } from "./node.ts";
import { podFrom } from "./pod.ts";

const controlled = (kind: string, name: string, labels: Record<string, string> = {}): KubernetesObject => ({
  metadata: {
    namespace: "default",
    name: "the-pod",
    labels,
    ownerReferences: [
      { apiVersion: "v1", kind: "Other", name: "watcher", uid: "1" },
      { apiVersion: "v1", kind, name, uid: "2", controller: true },
    ],
  },
});

const workloads: { name: string; object: KubernetesObject; workload: string }[] = [
  { name: "a pod that nobody controls", object: { metadata: { name: "the-pod" } }, workload: "Pod the-pod" },
  {
    name: "a pod of a Deployment",
    object: controlled("ReplicaSet", "web-7d4b9c-abc12", { "pod-template-hash": "abc12" }),
    workload: "Deployment web-7d4b9c",
  },
  { name: "a pod of a bare ReplicaSet", object: controlled("ReplicaSet", "web-7d4b9c"), workload: "ReplicaSet web-7d4b9c" },
  {
    name: "a pod whose hash is another's",
    object: controlled("ReplicaSet", "web-1", { "pod-template-hash": "zzz" }),
    workload: "ReplicaSet web-1",
  },
  { name: "a pod of a StatefulSet", object: controlled("StatefulSet", "db"), workload: "StatefulSet db" },
  { name: "a pod of a CronJob", object: controlled("Job", "backup-28512345"), workload: "CronJob backup" },
  { name: "a pod of a Job", object: controlled("Job", "migrate-2"), workload: "Job migrate-2" },
];

for (const { name, object, workload } of workloads) {
  test(`${name} belongs to ${workload}`, () => {
    assert.deepEqual(
      podFrom(object).workloads.map((owner) => `${owner.kind} ${owner.name}`),
      [workload],
    );
  });
}

test("a pod with everything", () => {
  const pod = podFrom({
    metadata: {
      namespace: "shop",
      name: "web",
      uid: "u1",
      labels: { app: "web" },
      annotations: { "cni.cilium.io/mac-address": "02:00:00:00:00:01" },
      deletionTimestamp: "2025-01-01T00:00:00Z",
    },
    spec: {
      nodeName: "n1",
      serviceAccountName: "robot",
      hostNetwork: true,
      containers: [
        { name: "a", ports: [{ name: "http", containerPort: 8080 }, { containerPort: 9 }, { name: "bad", containerPort: 70000 }] },
        { name: "b", ports: [{ name: "dns", containerPort: 53, protocol: "UDP" }] },
      ],
      initContainers: [
        { name: "side", restartPolicy: "Always", ports: [{ name: "mesh", containerPort: 15000 }] },
        { name: "once", ports: [{ name: "never", containerPort: 1 }] },
      ],
    },
    status: { phase: "Running", podIP: "10.0.0.5", podIPs: [{ ip: "10.0.0.5" }, { ip: "FD00:0::5" }] },
  });
  assert.deepEqual(pod, {
    namespace: "shop",
    name: "web",
    uid: "u1",
    labels: { app: "web" },
    annotations: { "cni.cilium.io/mac-address": "02:00:00:00:00:01" },
    serviceAccount: "robot",
    nodeName: "n1",
    hostNetwork: true,
    ips: ["10.0.0.5", "fd00::5"],
    phase: "Running",
    terminating: true,
    workloads: [{ name: "web", kind: "Pod" }],
    namedPorts: [
      { name: "http", port: 8080, protocol: "TCP" },
      { name: "dns", port: 53, protocol: "UDP" },
      { name: "mesh", port: 15000, protocol: "TCP" },
    ],
  });
});

test("a pod as it is before anything has happened to it, or with garbage in every field", () => {
  const empty = podFrom({ metadata: { namespace: "shop", name: "web" } });
  assert.deepEqual([empty.phase, empty.nodeName, empty.hostNetwork, empty.ips, empty.namedPorts], ["Pending", "", false, [], []]);
  const garbage = podFrom({
    metadata: { namespace: "shop", name: "web", labels: null, ownerReferences: 7 } as unknown as KubernetesObject["metadata"],
    spec: { containers: [null, { ports: "x" }], nodeName: {} },
    status: [],
  });
  assert.deepEqual({ ...garbage, workloads: [] }, { ...empty, workloads: [] });
});

test("a pod with the one address of an older server", () => {
  assert.deepEqual(podFrom({ metadata: { name: "web" }, status: { podIP: "10.0.0.5" } }).ips, ["10.0.0.5"]);
});

test("a namespace and a node", () => {
  assert.deepEqual(namespaceFrom({ metadata: { name: "shop", labels: { team: "a" } } }), {
    name: "shop",
    labels: { team: "a" },
    annotations: {},
  });
  const node = nodeFrom({
    metadata: { name: "n1", uid: "u", labels: { zone: "a" } },
    spec: { podCIDR: "10.1.0.0/24", providerID: "aws://x" },
    status: {
      addresses: [
        { type: "InternalIP", address: "192.0.2.1" },
        { type: "Hostname", address: "n1" },
      ],
      nodeInfo: { bootID: "b" },
    },
  });
  assert.deepEqual(node, {
    name: "n1",
    uid: "u",
    labels: { zone: "a" },
    annotations: {},
    addresses: [{ type: "InternalIP", ip: "192.0.2.1" }],
    podCIDRs: ["10.1.0.0/24"],
    providerId: "aws://x",
    bootId: "b",
  });
});

test("an identity's object has its number for a name and its labels on the top level", () => {
  const labels = Labels.parse(["k8s:app=web", "k8s:io.kubernetes.pod.namespace=shop", "container:empty"]);
  const object = ciliumIdentityObject({ id: 300, labels });
  assert.deepEqual(object, {
    metadata: { name: "300", labels: { "io.kubernetes.pod.namespace": "shop" } },
    "security-labels": { "k8s:app": "web", "k8s:io.kubernetes.pod.namespace": "shop", "container:empty": "" },
  });
  assert.equal(ciliumIdentityFrom(object)?.id, 300);
  assert.equal(ciliumIdentityFrom(object)?.labels.key, labels.key);
});

for (const object of [
  { metadata: { name: "web" }, "security-labels": {} },
  { metadata: { name: "0300" }, "security-labels": {} },
  { metadata: { name: "16777217" }, "security-labels": {} },
  { metadata: { name: "300" } },
  { metadata: { name: "300" }, spec: { "security-labels": { "k8s:app": "web" } } },
]) {
  test(`${JSON.stringify(object)} is no identity`, () => {
    assert.equal(ciliumIdentityFrom(object), undefined);
  });
}

test("an endpoint's object", () => {
  const endpoint = {
    id: 7,
    podNamespace: "shop",
    podName: "web",
    podUid: "u1",
    podLabels: { app: "web" },
    containerId: "c1",
    cniAttachmentId: "c1:eth0",
    identity: 300,
    identityLabels: ["k8s:b=2", "k8s:a=1"],
    ipv4: "10.0.0.5",
    ipv6: "fd00::5",
    nodeAddress: "192.0.2.1",
    state: "ready",
    namedPorts: [
      { name: "web", port: 80, protocol: "TCP" as const },
      { name: "dns", port: 53, protocol: "UDP" as const },
    ],
    serviceAccount: "robot",
    ingressEnforced: true,
    egressEnforced: false,
  };
  assert.deepEqual(ciliumEndpointObject(endpoint), {
    metadata: {
      namespace: "shop",
      name: "web",
      labels: { app: "web" },
      ownerReferences: [{ apiVersion: "v1", kind: "Pod", name: "web", uid: "u1" }],
    },
    status: {
      id: 7,
      "external-identifiers": {
        "container-id": "c1",
        "cni-attachment-id": "c1:eth0",
        "k8s-namespace": "shop",
        "k8s-pod-name": "web",
        "pod-name": "shop/web",
      },
      identity: { id: 300, labels: ["k8s:a=1", "k8s:b=2"] },
      networking: { addressing: [{ ipv4: "10.0.0.5", ipv6: "fd00::5" }], node: "192.0.2.1" },
      encryption: {},
      policy: { ingress: { enforcing: true, state: "enforcing" }, egress: { enforcing: false, state: "disabled" } },
      state: "ready",
      "named-ports": [
        { name: "dns", port: 53, protocol: "UDP" },
        { name: "web", port: 80, protocol: "TCP" },
      ],
      "service-account": "robot",
    },
  });
  const young = ciliumEndpointObject({ ...endpoint, podUid: "", identity: 0, ipv4: undefined, namedPorts: [], serviceAccount: "" });
  assert.deepEqual(Object.keys(young.status as object), ["id", "external-identifiers", "networking", "encryption", "policy", "state"]);
  assert.equal(young.metadata.ownerReferences, undefined);
});

test("a node's Cilium object reads as it was written", () => {
  const node = {
    name: "n1",
    labels: { zone: "a" },
    addresses: [
      { type: "InternalIP", ip: "192.0.2.1" },
      { type: "CiliumInternalIP", ip: "fd00::1" },
    ],
    podCIDRs: ["10.1.0.0/24", "fd00::/120"],
    healthIPv4: "10.1.0.9",
    healthIPv6: "",
    bootId: "b",
  };
  const object = ciliumNodeObject(node, "u1");
  assert.deepEqual(ciliumNodeFrom(object), node);
  assert.deepEqual(object.metadata.ownerReferences, [{ apiVersion: "v1", kind: "Node", name: "n1", uid: "u1" }]);
  assert.deepEqual(object.spec, {
    bootid: "b",
    addresses: node.addresses,
    health: { ipv4: "10.1.0.9" },
    ipam: { podCIDRs: ["10.1.0.0/24", "fd00::/120"] },
  });
});
