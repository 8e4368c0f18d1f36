import { Readable, Writable } from "node:stream";
import { type KubernetesClient, type KubernetesObject, openKubernetes, resources } from "@cilium-ts/kubernetes";
import { startTestServer, type TestServer } from "@cilium-ts/kubernetes-server/testing";
import { systemClock } from "@cilium-ts/std";
import { run } from "./run.ts";

const signal = new AbortController().signal;

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly error: string;
}

/** A cluster of objects alone: the real API server on a store in memory, for the commands to look at. */
export class TestCluster implements AsyncDisposable {
  readonly client: KubernetesClient;
  readonly #server: TestServer;
  readonly #kubeconfigPath: string;

  private constructor(server: TestServer, client: KubernetesClient, kubeconfigPath: string) {
    this.#server = server;
    this.client = client;
    this.#kubeconfigPath = kubeconfigPath;
  }

  /** The kubeconfig is written to that path. */
  static async start(kubeconfigPath: string, write: (path: string, text: string) => void): Promise<TestCluster> {
    const server = await startTestServer();
    const url = `http://127.0.0.1:${server.port}`;
    const named = { name: "test" };
    const config = {
      "current-context": "test",
      contexts: [{ ...named, context: { cluster: "test" } }],
      clusters: [{ ...named, cluster: { server: url } }],
    };
    write(kubeconfigPath, JSON.stringify(config));
    return new TestCluster(server, await openKubernetes({ server: url }), kubeconfigPath);
  }

  async cilium(line: string, env: Readonly<Record<string, string>> = { KUBECONFIG: this.#kubeconfigPath }, input = ""): Promise<Ran> {
    const texts = { out: "", error: "" };
    const collect = (name: keyof typeof texts): Writable =>
      new Writable({
        decodeStrings: false,
        write(part, _encoding, done) {
          texts[name] += String(part);
          done();
        },
      });
    const world = { stdin: Readable.from([input]), stdout: collect("out"), stderr: collect("error"), env, clock: systemClock };
    const code = await run(line.split(" ").filter(Boolean), world, signal);
    return { code, ...texts };
  }

  /** Makes the object, with its status. */
  async create(kind: keyof typeof resources, object: KubernetesObject): Promise<void> {
    const resource = resources[kind];
    await this.client.create(resource, object, { signal });
    if (object.status === undefined) return;
    const { namespace = "", name = "" } = object.metadata;
    await this.client.patch(
      resource,
      { namespace, name },
      { type: "merge", body: { status: object.status } },
      { signal, subresource: "status" },
    );
  }

  /** A cluster of one node with a Cilium that works, as far as objects tell. */
  async install(): Promise<void> {
    const namespace = "kube-system";
    await this.create("nodes", { metadata: { name: "node1" } });
    await this.create("ciliumNodes", { metadata: { name: "node1" }, spec: {} });
    const template = (name: string, labels: Record<string, string>): object => ({
      metadata: { labels },
      spec: { containers: [{ name: name === "cilium" ? "cilium-agent" : name, image: `example.org/${name}:v1` }] },
    });
    const labels = { "k8s-app": "cilium" };
    const operatorLabels = { "io.cilium/app": "operator" };
    await this.create("daemonSets", {
      metadata: { namespace, name: "cilium" },
      spec: { selector: { matchLabels: labels }, template: template("cilium", labels) },
      status: { desiredNumberScheduled: 1, currentNumberScheduled: 1, numberMisscheduled: 0, numberReady: 1, numberAvailable: 1 },
    });
    await this.create("deployments", {
      metadata: { namespace, name: "cilium-operator" },
      spec: { replicas: 1, selector: { matchLabels: operatorLabels }, template: template("cilium-operator", operatorLabels) },
      status: { replicas: 1, readyReplicas: 1, availableReplicas: 1 },
    });
    await this.pod(namespace, "cilium-x", { labels, image: "example.org/cilium:v1", hostNetwork: true, ready: true });
    await this.pod(namespace, "cilium-operator-x", { labels: operatorLabels, image: "example.org/operator:v1", hostNetwork: true });
    await this.create("leases", {
      metadata: { namespace, name: "cilium-operator-resource-lock" },
      spec: { holderIdentity: "operator-1", leaseDurationSeconds: 15, renewTime: new Date().toISOString().replace("Z", "000Z") },
    });
  }

  async pod(
    namespace: string,
    name: string,
    options: {
      labels?: Record<string, string>;
      image?: string;
      hostNetwork?: boolean;
      managed?: boolean;
      ready?: boolean;
      waiting?: string;
    } = {},
  ): Promise<void> {
    const { labels = {}, image = "example.org/app:v1", hostNetwork = false, managed = false, waiting } = options;
    const containers = [{ name: "main", image }];
    const state = waiting === undefined ? { running: {} } : { waiting: { reason: waiting } };
    const containerStatuses = [{ name: "main", image, imageID: "", ready: waiting === undefined, restartCount: 0, state }];
    const spec = { nodeName: "node1", hostNetwork, containers };
    const conditions = options.ready === true ? [{ type: "Ready", status: "True" }] : [];
    await this.create("pods", { metadata: { namespace, name, labels }, spec, status: { phase: "Running", conditions, containerStatuses } });
    if (managed) await this.create("ciliumEndpoints", { metadata: { namespace, name } });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client[Symbol.asyncDispose]();
    await this.#server[Symbol.asyncDispose]();
  }
}
