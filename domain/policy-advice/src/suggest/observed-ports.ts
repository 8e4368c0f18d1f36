import { type PortGroup, type PortMatch, type Protocol, protocols } from "@cilium-ts/policy";

const dnsPort = 53;
/** Of one list of ports in a policy. */
const portsOfListMax = 40;

/** Ports by protocol, as they were seen. */
export class ObservedPorts {
  readonly #ports = new Map<Protocol, Set<number>>();

  /** False: rules cannot name it. Port 0 in a rule is every port. */
  add(protocol: number, port: number): boolean {
    const known = Object.values(protocols).find((one) => one === protocol && one !== protocols.any);
    if (known === undefined || (port === 0 && !isIcmp(known))) return false;
    const ports = this.#ports.get(known);
    if (ports === undefined) this.#ports.set(known, new Set([port]));
    else ports.add(port);
    return true;
  }

  addAll(others: ObservedPorts): void {
    for (const [protocol, ports] of others.#ports) for (const port of ports) this.add(protocol, port);
  }

  /** Those at which DNS servers answer, and the others. */
  split(): { readonly dns: ObservedPorts; readonly rest: ObservedPorts } {
    const [dns, rest] = [new ObservedPorts(), new ObservedPorts()];
    for (const [protocol, ports] of this.#ports) {
      const mayBeDns = protocol === protocols.tcp || protocol === protocols.udp;
      for (const port of ports) (mayBeDns && port === dnsPort ? dns : rest).add(protocol, port);
    }
    return { dns, rest };
  }

  get isEmpty(): boolean {
    return this.#ports.size === 0;
  }

  /** Text that is equal exactly for equal ports. */
  get key(): string {
    return JSON.stringify(this.#matches());
  }

  /** Ports that follow each other become a range; types of ICMP stand in lists of their own. */
  groups(path: string): PortGroup[] {
    const matches = this.#matches();
    return [
      ...chunks(matches.filter(({ protocol }) => !isIcmp(protocol))).map((ports, index) => ({ path: `${path}.toPorts[${index}]`, ports })),
      ...chunks(matches.filter(({ protocol }) => isIcmp(protocol))).map((ports, index) => ({ path: `${path}.icmps[${index}]`, ports })),
    ];
  }

  #matches(): PortMatch[] {
    const matches: (PortMatch & { kind: "number"; last: number })[] = [];
    for (const [protocol, ports] of [...this.#ports].sort(([a], [b]) => a - b)) {
      for (const port of [...ports].sort((a, b) => a - b)) {
        const last = matches.at(-1);
        if (!isIcmp(protocol) && last?.protocol === protocol && last.last === port - 1) last.last = port;
        else matches.push({ kind: "number", protocol, first: port, last: port });
      }
    }
    return matches;
  }
}

function chunks<T>(items: readonly T[]): T[][] {
  return Array.from({ length: Math.ceil(items.length / portsOfListMax) }, (_, index) =>
    items.slice(index * portsOfListMax, (index + 1) * portsOfListMax),
  );
}

function isIcmp(protocol: Protocol): boolean {
  return protocol === protocols.icmp || protocol === protocols.icmpv6;
}
