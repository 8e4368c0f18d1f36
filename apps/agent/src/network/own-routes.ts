import { formatPrefix, type Prefix, parsePrefix } from "@cilium-ts/net";
import type { Netlink, NewRoute } from "@cilium-ts/netlink";
import { Table, type Target } from "@cilium-ts/state";

/** One of the node's own pod CIDRs. */
interface OwnRoute {
  readonly destination: string;
}

/** After every route to a pod. */
const unreachableMetric = 4_000_000;

/** An address of ours that no pod has must not leave by the default route and come back. */
export function ownRoute(destination: Prefix): NewRoute {
  return { destination, kind: "unreachable", metric: unreachableMetric };
}

/** The routes of the node's own pod CIDRs, which come and go where pools give them. */
export class OwnRoutes {
  readonly table = new Table<string, OwnRoute>({ name: "own pod CIDRs", keyOf: (row) => row.destination, sources: ["ipam"] });
  readonly target: Target<string, OwnRoute>;

  constructor(netlink: Netlink) {
    this.target = {
      async apply({ destination }) {
        await netlink.routes.replace(ownRoute(prefixOf(destination)));
      },
      async remove(destination) {
        await netlink.routes.delete(ownRoute(prefixOf(destination)));
      },
      async realised() {
        const routes = await netlink.routes.list();
        return routes
          .filter(({ kind, metric }) => kind === "unreachable" && metric === unreachableMetric)
          .map((route) => formatPrefix(route.destination));
      },
    };
  }

  set(prefixes: readonly Prefix[]): void {
    const wanted = new Set(prefixes.map(formatPrefix));
    for (const { destination } of [...this.table.rows()]) if (!wanted.has(destination)) this.table.delete(destination);
    for (const destination of wanted) if (this.table.get(destination) === undefined) this.table.upsert({ destination });
  }
}

function prefixOf(text: string): Prefix {
  const prefix = parsePrefix(text);
  if (prefix === undefined) throw new RangeError(`${text} is no prefix`);
  return prefix;
}
