import { formatAddress, parseAddress } from "@cilium-ts/net";
import type { LifelineFacts } from "./lifelines.ts";
import { readUsedPorts, type UsedPort } from "./ssh-sockets.ts";

export interface LifelineSourcesOptions {
  /** Ports that are looked at. */
  readonly sshPorts: readonly number[];
  /** Where the agent itself reaches the API server; undefined: by the address of its service, behind which are those of the slices. */
  readonly server: string | undefined;
  /** As the slices of `default/kubernetes` tell them. */
  apiServers(): ReadonlyArray<{ readonly address: string; readonly port: number }>;
  /** By which other nodes reach this one. */
  ownAddresses(): readonly string[];
  nodeAddresses(): Iterable<string>;
  /** 0: nobody knows. */
  identityOf(address: string): number;
  readPorts?(ports: readonly number[]): Promise<UsedPort[]>;
}

/** What this node's life depends on, gathered from those who know. */
export class LifelineSources {
  readonly #options: LifelineSourcesOptions;
  #usedPorts: readonly UsedPort[] = [];

  constructor(options: LifelineSourcesOptions) {
    this.#options = options;
  }

  /** Looks at the sockets again. */
  async refresh(): Promise<void> {
    const { sshPorts, readPorts = readUsedPorts } = this.#options;
    this.#usedPorts = sshPorts.length === 0 ? [] : await readPorts(sshPorts);
  }

  facts(): LifelineFacts {
    const { ownAddresses, nodeAddresses, identityOf } = this.#options;
    const own = new Set(ownAddresses());
    const known = new Map(this.#apiServers().map((server) => [`${server.address} ${server.port}`, server]));
    return {
      apiServers: [...known.values()].map((server) => ({
        ...server,
        isHere: own.has(server.address),
        identity: identityOf(server.address),
      })),
      sshPorts: this.#usedPorts.map(({ port, remotes }) => ({
        port,
        sessions: remotes.map((address) => ({ address, identity: identityOf(address) })),
      })),
      nodes: [...new Set([...nodeAddresses()].map(identityOf).filter((identity) => identity !== 0))],
    };
  }

  /** Those of the slices, and the one that the agent uses, where its URL has an address and no name. */
  #apiServers(): Array<{ readonly address: string; readonly port: number }> {
    const { server, apiServers } = this.#options;
    const told = apiServers().flatMap(({ address, port }) => {
      const bytes = parseAddress(address);
      return bytes === undefined ? [] : [{ address: formatAddress(bytes), port }];
    });
    const url = URL.parse(server ?? "");
    const bytes = parseAddress(url?.hostname.replace(/^\[|\]$/g, "") ?? "");
    const isLoopback = bytes?.length === 4 ? bytes[0] === 127 : bytes !== undefined && formatAddress(bytes) === "::1";
    if (url === null || bytes === undefined || isLoopback) return told;
    const port = url.port === "" ? (url.protocol === "https:" ? 443 : 80) : Number(url.port);
    return [...told, { address: formatAddress(bytes), port }];
  }
}
