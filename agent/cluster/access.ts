import { readFile, stat } from "node:fs/promises";
import { systemClock, type Clock } from "#lib/clock.ts";

/** What a request carries to be let in. All of it can be renewed on disk while the agent runs. */
export type Credentials = {
  readonly ca?: string;
  readonly clientCertificate?: { readonly certificate: string; readonly key: string };
  /** The name in the server's certificate, where it is not that of its address. */
  readonly serverName?: string;
  readonly headers: Readonly<Record<string, string>>;
};

/** How to reach one API server. */
export type Access = {
  readonly server: string;
  /** Of the kubeconfig. Whatever the environment says of proxies is not for API servers. */
  readonly proxy?: string;
  /** At most a minute old. `fresh`: read now, because the server does not take what was read before. */
  credentials(fresh?: boolean): Promise<Credentials>;
};

const serviceAccountFolder = "/var/run/secrets/kubernetes.io/serviceaccount";
/** Kubernetes renews a projected token at 80 % of its life, an hour at the least; a minute's age is safe. */
const ageLimitMs = 60_000;

/** Access of a Pod: the service account's token and the cluster's CA, read again each minute. */
export function inClusterAccess(
  address: { host: string; port: string },
  folder = serviceAccountFolder,
  clock = systemClock,
): Access {
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return {
    server: `https://${host}:${address.port}`,
    credentials: remembered(clock, async () => {
      const [ca, token] = await Promise.all(["ca.crt", "token"].map((name) => readFile(`${folder}/${name}`, "utf8")));
      return { ca: ca!, headers: { authorization: `Bearer ${token!.trim()}` } };
    }),
  };
}

/**
 * Access by a kubeconfig file, as kubectl reads it: certificates, tokens, token files, and exec plugins, which come no other
 * way. A plugin is asked again when what it gave has expired, or is not taken any more.
 */
export async function kubeconfigAccess(path: string, context?: string, clock = systemClock): Promise<Access> {
  // Imported only here: it costs 90 MB and 400 ms, which an agent inside its cluster never pays.
  const { loadKubeconfig } = await import("./load-kubeconfig.ts");
  let loadedAt = (
    await stat(path).catch((cause: NodeJS.ErrnoException) => {
      throw new Error(`the kubeconfig ${path} cannot be read (${cause.code ?? cause.message})`, { cause });
    })
  ).mtimeMs;
  let loaded = loadKubeconfig(path, context);
  const cluster = loaded.config.getCurrentCluster();
  if (cluster === null) {
    const current = loaded.config.getCurrentContext() as string | undefined;
    const because = current ? `its context ${current} names no cluster` : "it has no current context";
    throw new Error(`the kubeconfig ${path}: ${because}; name another by --context`);
  }
  // Whoever stands between would be given every Secret.
  if (cluster.skipTLSVerify)
    throw new Error(
      `the kubeconfig ${path}: its cluster ${cluster.name} says insecure-skip-tls-verify, which is not done here: name the server's authority (certificate-authority)`,
    );
  return {
    server: cluster.server.replace(/\/$/, ""),
    ...(cluster.proxyUrl === undefined ? {} : { proxy: cluster.proxyUrl }),
    credentials: remembered(clock, async (fresh) => {
      const { mtimeMs } = await stat(path);
      // The library keeps what a plugin gave, also when the server does not take it any more.
      if (fresh || mtimeMs !== loadedAt) loaded = loadKubeconfig(path, context);
      loadedAt = mtimeMs;
      const { config, tokenFile } = loaded;
      const options: Parameters<typeof config.applyToHTTPSOptions>[0] = {};
      await config.applyToHTTPSOptions(options);
      const headers = Object.entries(options.headers ?? {}).map(([name, value]) => [name.toLowerCase(), String(value)]);
      if (tokenFile !== undefined)
        headers.push(["authorization", `Bearer ${(await readFile(tokenFile, "utf8")).trim()}`]);
      return {
        ...(options.ca === undefined ? {} : { ca: String(options.ca) }),
        ...(options.cert === undefined
          ? {}
          : { clientCertificate: { certificate: String(options.cert), key: String(options.key) } }),
        ...(options.servername === undefined ? {} : { serverName: options.servername }),
        headers: Object.fromEntries(headers) as Record<string, string>,
      };
    }),
  };
}

/**
 * What was read less than a minute ago; a file that cannot be read just now, as it is being replaced, changes nothing. All that
 * ask together share one reading: whatever refuses one request refuses all of them, and plugins are processes.
 */
function remembered(clock: Clock, read: (fresh: boolean) => Promise<Credentials>): Access["credentials"] {
  let last: { at: number; credentials: Credentials } | undefined;
  let reading: Promise<void> | undefined;
  const readOnce = async (fresh: boolean): Promise<void> => {
    try {
      last = { at: clock.monotonic(), credentials: await read(fresh) };
    } catch (error) {
      if (last === undefined) throw error;
    } finally {
      reading = undefined;
    }
  };
  return async (fresh = false) => {
    if (!fresh && last !== undefined && clock.monotonic() - last.at < ageLimitMs) return last.credentials;
    await (reading ??= readOnce(fresh));
    return last!.credentials;
  };
}
