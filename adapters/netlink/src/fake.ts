import { errnoOf, NetlinkError } from "./errors.ts";
import { FakeBackend } from "./fake-backend.ts";
import { FakeNamespace } from "./fake-namespace.ts";
import { createNetlink, type Netlink } from "./netlink.ts";

/** Network namespaces in memory: the caller's own, and those created at paths. */
export class FakeNetworks {
  readonly #own = new FakeNamespace("");
  readonly #namespaces = new Map<string, FakeNamespace>();

  createNamespace(path: string): void {
    if (this.#namespaces.has(path)) throw new Error(`namespace ${path} exists already`);
    this.#namespaces.set(path, new FakeNamespace(path));
  }

  /** Its links go with it, and their peers elsewhere. */
  deleteNamespace(path: string): void {
    const namespace = this.#namespaces.get(path);
    if (namespace === undefined) return;
    this.#namespaces.delete(path);
    for (const link of [...namespace.links.values()]) {
      namespace.removeLink(link);
      if (link.peer !== undefined && link.peer.namespace !== namespace) link.peer.namespace.removeLink(link.peer.link);
    }
  }

  /** As `openNetlink(kernel, options)`. */
  open(options: { readonly namespacePath?: string | undefined } = {}): Netlink {
    const { namespacePath } = options;
    const namespace = namespacePath === undefined ? this.#own : this.#namespaces.get(namespacePath);
    if (namespace === undefined) {
      throw new NetlinkError({ operation: "open", subject: `netlink in namespace ${namespacePath}`, errno: errnoOf.noEntry });
    }
    return createNetlink(new FakeBackend(namespace, (path) => this.#namespaces.get(path)));
  }
}

/** A fake of one namespace, or of one among the given networks. */
export function openFakeNetlink(options: { readonly networks?: FakeNetworks; readonly namespacePath?: string | undefined } = {}): Netlink {
  return (options.networks ?? new FakeNetworks()).open({ namespacePath: options.namespacePath });
}
