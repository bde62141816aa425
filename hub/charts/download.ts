import { rootCertificates } from "node:tls";
import { lookup, type LookupAddress, type LookupAllOptions } from "node:dns";
import type { LookupFunction } from "node:net";
import { Agent, request } from "undici";
import { AddressRefused, checkAddress, isInternal, redact } from "#hub/git/address.ts";
import { reasonOf } from "#lib/log.ts";
import { sha256Hex } from "#proto/json.ts";
import { readAtMost } from "#lib/read-at-most.ts";

/** Connecting and waiting for the first byte; a server that is slower is tried again later. */
const patienceMs = 20_000;
/** All of it: an archive at its limit over a slow line. */
const wholeMs = 120_000;
const redirects = 3;

/** A chart that is not at hand now. It may be later: what is wrong lies with a server, the way to it, or what it gave. */
export class ChartUnavailable extends Error {
  override readonly name = "ChartUnavailable";
}

export type Answer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
};

/** PEM text; `ca` stands for the system's authorities. */
export type Certificates = {
  readonly ca?: string | string[];
  readonly cert?: string;
  readonly key?: string;
};

export type DownloadOptions = {
  /** How the repository's own server is known, and knows us. */
  readonly tls?: Certificates | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  readonly maxBytes: number;
  /**
   * To follow the server elsewhere. Only for what is checked by its digest, and never with credentials: Helm repositories and
   * registries keep archives on other hosts.
   */
  readonly mayRedirect?: boolean;
};

/** `dns.lookup`, for all addresses of a name. */
type Resolve = (
  hostname: string,
  options: LookupAllOptions,
  found: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

/** GET, by the rules for repositories: https, no internal host unless it is allowed by name. Throws ChartUnavailable. */
export type Download = AsyncDisposable & ((address: string, options: DownloadOptions) => Promise<Answer>);

/** Sets of certificates at once: each Repository may have its own, and older ones are closed. */
const maxAgents = 16;

export function createDownload(
  allowedHosts: ReadonlySet<string>,
  signal: AbortSignal,
  resolve: Resolve = (hostname, options, found) => lookup(hostname, options, found),
): Download {
  const agents = new Map<string, Agent>();
  const agentFor = (tls: Certificates = {}): Agent => {
    const name = sha256Hex(JSON.stringify(tls));
    const agent =
      agents.get(name) ??
      new Agent({
        connect: { ...tls, lookup: guarded(allowedHosts, resolve), timeout: patienceMs },
        headersTimeout: patienceMs,
        bodyTimeout: patienceMs,
      });
    agents.delete(name);
    agents.set(name, agent);
    const [oldest, unused] = agents.entries().next().value!;
    if (agents.size > maxAgents) {
      agents.delete(oldest);
      void unused.close();
    }
    return agent;
  };
  const once = async (
    url: URL,
    headers: DownloadOptions["headers"],
    maxBytes: number,
    agent: Agent,
  ): Promise<Answer> => {
    const ending = AbortSignal.any([signal, AbortSignal.timeout(wholeMs)]);
    const answer = await request(url, {
      dispatcher: agent,
      signal: ending,
      headers: { ...headers, "user-agent": "plumbline" },
    });
    const tooLong = (): Error => new ChartUnavailable(`answers with more than ${Math.round(maxBytes / 2 ** 20)} MiB`);
    const body = await readAtMost(answer.body, maxBytes, tooLong);
    return { status: answer.statusCode, headers: answer.headers, body };
  };
  const download = async (address: string, options: DownloadOptions): Promise<Answer> => {
    let at = address;
    let { headers } = options;
    let agent = agentFor(options.tls);
    for (let hop = 0; ; hop += 1) {
      try {
        const url = checkAddress(at, allowedHosts);
        const answer = await once(url, headers, options.maxBytes, agent);
        const { location } = answer.headers;
        if (answer.status < 300 || answer.status >= 400 || typeof location !== "string") return answer;
        if (options.mayRedirect !== true || hop === redirects)
          throw new ChartUnavailable(`sends elsewhere (${answer.status}); write the address that it sends to`);
        const next = new URL(location, url);
        if (next.origin !== url.origin) {
          headers = undefined;
          agent = agentFor(elsewhere(options.tls));
        }
        at = next.href;
      } catch (error) {
        signal.throwIfAborted();
        throw new ChartUnavailable(`${shown(at)}: ${wordsOf(error)}`, { cause: error });
      }
    }
  };
  return Object.assign(download, {
    [Symbol.asyncDispose]: async () => void (await Promise.all([...agents.values()].map((agent) => agent.destroy()))),
  });
}

/** For a server that the repository's own points to: it may be of the same authority, or of any, and is shown no certificate. */
export const elsewhere = ({ ca }: Certificates = {}): Certificates =>
  ca === undefined ? {} : { ca: [...rootCertificates, ...[ca].flat()] };

/** A query may hold a signature that lets in whoever has it. */
const shown = (address: string): string => redact(address.split(/[?#]/)[0]!);

function wordsOf(error: unknown): string {
  if (error instanceof ChartUnavailable) return error.message;
  const cause = error instanceof Error && error.cause instanceof AddressRefused ? error.cause : error;
  return cause instanceof AddressRefused ? cause.message : reasonOf(cause);
}

/** A name that is asked for once and answered with an internal address is refused where it is connected to. */
const guarded =
  (allowedHosts: ReadonlySet<string>, resolve: Resolve): LookupFunction =>
  (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, found) => {
      if (error !== null) return callback(error, "", 0);
      const inside = found.find(({ address }) => isInternal(address));
      if (inside !== undefined && !allowedHosts.has(hostname))
        return callback(
          new AddressRefused(`${hostname} has an internal address; allow it with --allow-repository-host ${hostname}`),
          "",
          0,
        );
      const [first] = found;
      if (options.all === true) (callback as unknown as (error: null, found: LookupAddress[]) => void)(null, found);
      else callback(null, first?.address ?? "", first?.family ?? 4);
    });
  };
