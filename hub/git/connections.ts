import { lookup as resolveName, type LookupAddress, type LookupOptions } from "node:dns";
import { readFile } from "node:fs/promises";
import { Agent, type Dispatcher } from "undici";
import { AddressRefused, isInternal } from "#hub/git/address.ts";
import { sha256Hex } from "#proto/json.ts";

/** Files of PEM text; read at each use, so that they may be rotated. */
export type TlsFiles = {
  /** The only authorities that a server's certificate may come from; without it, those that git and Node know. */
  readonly ca?: string | undefined;
  readonly certificate?: string | undefined;
  readonly key?: string | undefined;
};

/** Kept connections, one a host as long as nobody hangs on it. */
export type Connections = AsyncDisposable & {
  /** With the certificates as they are now. */
  dispatcher(tls: TlsFiles): Promise<Dispatcher>;
};

/** Longer than the usual look, so that the next one finds the connection; a server that ends it earlier says so. */
const keptMs = 120_000;
/** A repository that hangs keeps one for as long as its answer is waited for; so many must hang before others wait. */
const connectionsPerHost = 32;
/** Pairs of certificates; the longest unused is closed. */
const maxAgents = 64;

export function openConnections(allowedHosts: ReadonlySet<string>): Connections {
  const agents = new Map<string, Agent>();
  const agentWith = (pem: Readonly<Record<string, string>>): Agent =>
    new Agent({
      keepAliveTimeout: keptMs,
      keepAliveMaxTimeout: keptMs,
      connections: connectionsPerHost,
      pipelining: 1,
      connect: { ...pem, lookup: publicLookup(allowedHosts), timeout: 20_000 },
    });
  return {
    async dispatcher({ ca, certificate, key }) {
      const files = Object.entries({ ca, cert: certificate, key }).filter((entry) => entry[1] !== undefined);
      const pem = Object.fromEntries(
        await Promise.all(files.map(async ([name, file]) => [name, await readFile(file!, "utf8")] as const)),
      );
      const hash = sha256Hex(JSON.stringify(pem));
      const found = agents.get(hash) ?? agentWith(pem);
      agents.delete(hash);
      agents.set(hash, found);
      if (agents.size > maxAgents) {
        const [oldest, agent] = agents.entries().next().value!;
        agents.delete(oldest);
        void agent.close();
      }
      return found;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([...agents.values()].map((agent) => agent.destroy()));
    },
  };
}

type Found = (error: Error | null, address: string | LookupAddress[], family?: number) => void;

/** A public name may lead to an internal address: what it resolves to is judged, and that is what is connected to. */
const publicLookup =
  (allowedHosts: ReadonlySet<string>) =>
  (host: string, options: LookupOptions, found: Found): void => {
    resolveName(host, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return found(error, []);
      const internal = allowedHosts.has(host) ? undefined : addresses.find(({ address }) => isInternal(address));
      if (internal !== undefined) return found(leadsInside(host, internal.address), []);
      if (options.all === true) return found(null, addresses);
      const [first] = addresses;
      return first === undefined
        ? found(new Error(`${host} has no address`), [])
        : found(null, first.address, first.family);
    });
  };

export const leadsInside = (host: string, address: string): AddressRefused =>
  new AddressRefused(`${host} leads to the internal address ${address}: allow it with --allow-repository-host ${host}`);
