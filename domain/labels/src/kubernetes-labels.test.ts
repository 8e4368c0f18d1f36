import assert from "node:assert/strict";
import { test } from "node:test";
import { allLabelsForPod, labelsForPod } from "./kubernetes-labels.ts";
import { parseLabel } from "./label.ts";
import { defaultLabelFilter } from "./label-filter.ts";

const pod = {
  namespace: "shop",
  podLabels: {
    app: "web",
    "app.kubernetes.io/name": "web",
    "pod-template-hash": "abc",
    "controller-revision-hash": "def",
    "statefulset.kubernetes.io/pod-name": "web-0",
  },
  namespaceLabels: { "kubernetes.io/metadata.name": "shop", stage: "live" },
  serviceAccount: "default",
  cluster: "one",
};

test("a pod's identity is its own lasting labels and where it runs", () => {
  assert.deepEqual(labelsForPod(pod).format(), [
    "k8s:app=web",
    "k8s:app.kubernetes.io/name=web",
    "k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=shop",
    "k8s:io.cilium.k8s.namespace.labels.stage=live",
    "k8s:io.cilium.k8s.policy.cluster=one",
    "k8s:io.cilium.k8s.policy.serviceaccount=default",
    "k8s:io.kubernetes.pod.namespace=shop",
  ]);
  assert.equal(allLabelsForPod(pod).get("k8s", "pod-template-hash"), "abc");
});

test("a pod cannot claim another place", () => {
  const spoofed = {
    ...pod,
    podLabels: {
      "io.kubernetes.pod.namespace": "kube-system",
      "io.cilium.k8s.policy.serviceaccount": "admin",
      "io.cilium.k8s.policy.cluster": "two",
      "io.cilium.k8s.namespace.labels.trusted": "yes",
    },
  };
  assert.deepEqual(labelsForPod(spoofed), labelsForPod({ ...pod, podLabels: {} }));
});

test("a pod without a service account has no label of one", () => {
  const { serviceAccount: _, ...without } = pod;
  assert.equal(labelsForPod(without).has("k8s", "io.cilium.k8s.policy.serviceaccount"), false);
});

for (const [text, accepted] of [
  ["k8s:app=web", true],
  ["k8s:job-title=x", true],
  ["k8s:app.kubernetes.io/instance=x", true],
  ["k8s:io.kubernetes.pod.namespace=x", true],
  ["k8s:io.kubernetes.container.hash=x", false],
  ["k8s:kubernetes.io/arch=x", false],
  ["k8s:node.beta.kubernetes.io/x=y", false],
  ["k8s:k8s.io/x=y", false],
  ["k8s:pod-template-generation=3", false],
  ["k8s:controller-uid=x", false],
  ["k8s:batch.kubernetes.io/job-completion-index=1", false],
  ["k8s:apps.kubernetes.io/pod-index=1", false],
  ["k8s:annotation.x=y", false],
  ["k8s:my-annotation=y", true],
  ["k8s:etcd_node=x", false],
] as const) {
  test(`${text} ${accepted ? "makes" : "makes no"} identity`, () => {
    const label = parseLabel(text);
    assert.ok(label !== undefined);
    assert.equal(defaultLabelFilter.accepts(label), accepted);
  });
}
