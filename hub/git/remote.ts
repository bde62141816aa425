import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { resolve } from "node:path";
import { AddressRefused, isInternal, redact } from "#hub/git/address.ts";
import { git, type BareRepository, type GitOptions } from "#hub/git/command.ts";
import { leadsInside, type Connections, type TlsFiles } from "#hub/git/connections.ts";
import { refsOf, type RemoteRefs } from "#hub/git/ls-refs.ts";
import { writeSshFiles, type SshAccess } from "#hub/git/ssh.ts";

/** How a repository is spoken to. */
export type RemoteSettings = {
  readonly url: string;
  readonly allowedHosts: ReadonlySet<string>;
  /** Value of an Authorization header; asked at each fetch, so a rotated credential needs no restart. */
  readonly authorization?: () => Promise<string | undefined>;
  /** Certificates of an https:// address; asked at each fetch. */
  readonly tls?: () => Promise<TlsFiles>;
  /** The remote did not accept what it was shown. */
  readonly refused?: () => Promise<void>;
  /** Needed by an ssh:// address, and used by no other. */
  readonly ssh?: SshAccess;
  /** Asks over these what an http(s):// repository holds; without them git itself asks, by a fetch. */
  readonly connections?: Connections;
};

/** What a git command that speaks to the remote needs besides its arguments. */
export type RemoteAccess = Pick<GitOptions, "config" | "ssh">;

/** Runs `work` with the credentials as they are now; what they took on disk is gone afterwards. */
export async function withRemote<Result>(
  directory: string,
  settings: RemoteSettings,
  work: (access: RemoteAccess) => Promise<Result>,
): Promise<Result> {
  const { url, authorization, ssh } = settings;
  const addresses = await publicAddresses(settings);
  if (!url.startsWith("ssh:")) {
    const header = await authorization?.();
    const config = {
      ...(header !== undefined && { "http.extraHeader": `Authorization: ${header}` }),
      ...(addresses.length > 0 && { "http.curloptResolve": curlResolve(new URL(url), addresses) }),
      ...certificates((await settings.tls?.()) ?? {}),
    };
    return work({ config });
  }
  if (ssh === undefined) throw new AddressRefused(`${redact(url)}: ssh needs a private key and pinned host keys`);
  await using files = await writeSshFiles(directory, url, ssh);
  return await work({ ssh: { folder: files.path, address: url } });
}

type AskRefs = (
  prefixes: readonly string[],
  isHinted: boolean,
  signal: AbortSignal | undefined,
) => Promise<RemoteRefs | undefined>;

/** Asks what a repository holds, without fetching: on a kept connection over http(s). Undefined: only a fetch can tell. */
export function remoteAsker(repository: BareRepository, settings: RemoteSettings): AskRefs {
  const { url, connections } = settings;
  if (url.startsWith("ssh:")) return sshAsker(repository, settings);
  if (connections === undefined) return () => Promise.resolve(undefined);
  const ask = refsOf(url);
  return async (prefixes, _isHinted, signal) => {
    const authorization = await settings.authorization?.();
    const dispatcher = await connections.dispatcher((await settings.tls?.()) ?? {});
    return ask({ prefixes, authorization, dispatcher, signal });
  };
}

/** A look takes a connection: when something is said to have moved, the fetch itself is the one. */
function sshAsker(repository: BareRepository, settings: RemoteSettings): AskRefs {
  return async (prefixes, isHinted, signal) => {
    if (isHinted) return undefined;
    const kinds = [["refs/heads/", "--heads"] as const, ["refs/tags/", "--tags"] as const];
    const flags = kinds.flatMap(([folder, flag]) =>
      prefixes.some((prefix) => prefix.startsWith(folder)) ? [flag] : [],
    );
    const listed = await withRemote(repository.directory, settings, (access) =>
      git(repository, ["ls-remote", "--refs", "--quiet", ...flags, "--", settings.url], { ...access, signal }),
    );
    const lines = listed
      .toString("utf8")
      .split("\n")
      .filter((line) => line !== "");
    return new Map(lines.map((line) => [line.slice(line.indexOf("\t") + 1), line.slice(0, line.indexOf("\t"))]));
  };
}

const certificates = ({ ca, certificate, key }: TlsFiles): Record<string, string> => ({
  ...(ca !== undefined && { "http.sslCAInfo": resolve(ca) }),
  ...(certificate !== undefined && { "http.sslCert": resolve(certificate) }),
  ...(key !== undefined && { "http.sslKey": resolve(key) }),
});

/**
 * What a public name resolves to now, all of it public; empty for an address, an allowed host or a name that is not known:
 * those git may look up itself.
 */
async function publicAddresses({ url, allowedHosts }: RemoteSettings): Promise<string[]> {
  const host = new URL(url).hostname.replace(/^\[|\]$/g, "").replace(/\.$/, "");
  if (isIP(host) !== 0 || allowedHosts.has(host)) return [];
  const found = await lookup(host, { all: true }).catch(() => []);
  const internal = found.find(({ address }) => isInternal(address));
  if (internal !== undefined) throw leadsInside(host, internal.address);
  return found.map(({ address }) => address);
}

/** Between our look and git's, a name may be made to lead elsewhere: git connects to what was judged. */
function curlResolve({ hostname, port, protocol }: URL, addresses: readonly string[]): string {
  const shown = addresses.map((address) => (address.includes(":") ? `[${address}]` : address));
  return `${hostname}:${port || (protocol === "http:" ? "80" : "443")}:${shown.join(",")}`;
}
