import { readFile } from "node:fs/promises";

/** How to reach one API server. `headers` is asked before each request, because tokens on disk rotate. */
export type Access = {
  readonly server: string;
  readonly ca?: string;
  readonly clientCertificate?: { readonly certificate: string; readonly key: string };
  headers(): Promise<Record<string, string>>;
};

const serviceAccountFolder = "/var/run/secrets/kubernetes.io/serviceaccount";
/** Kubernetes renews a projected token at 80 % of its life, an hour at the least; a minute's age is safe. */
const tokenAgeMs = 60_000;

/** Access of a Pod: the service account's token, read again each minute. */
export async function inClusterAccess(address: { host: string; port: string }): Promise<Access> {
  const ca = await readFile(`${serviceAccountFolder}/ca.crt`, "utf8");
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return {
    server: `https://${host}:${address.port}`,
    ca,
    headers: tokenHeaders(`${serviceAccountFolder}/token`),
  };
}

/** An authorisation header from a token file, read again when what was read is a minute old. */
export function tokenHeaders(path: string): () => Promise<Record<string, string>> {
  let read: { at: number; token: string } | undefined;
  return async () => {
    if (read === undefined || performance.now() - read.at > tokenAgeMs)
      read = { at: performance.now(), token: (await readFile(path, "utf8")).trim() };
    return { authorization: `Bearer ${read.token}` };
  };
}

/** Access by a kubeconfig file: certificates, tokens and exec plugins as kubectl reads them. */
export async function kubeconfigAccess(path: string, context?: string): Promise<Access> {
  // Imported only here: it costs 90 MB and 400 ms, which an agent inside its cluster never pays.
  const { loadKubeconfig } = await import("./load-kubeconfig.ts");
  const config = loadKubeconfig(path, context);
  const cluster = config.getCurrentCluster();
  if (cluster === null) throw new Error(`${path}: context ${config.getCurrentContext()} names no cluster`);
  const options: Parameters<typeof config.applyToHTTPSOptions>[0] = {};
  await config.applyToHTTPSOptions(options);
  const certificate = options.cert === undefined ? undefined : String(options.cert);
  return {
    server: cluster.server.replace(/\/$/, ""),
    ...(options.ca === undefined ? {} : { ca: String(options.ca) }),
    ...(certificate === undefined ? {} : { clientCertificate: { certificate, key: String(options.key) } }),
    headers: async () => {
      const fresh: typeof options = {};
      await config.applyToHTTPSOptions(fresh);
      return Object.fromEntries(Object.entries(fresh.headers ?? {}).map(([name, value]) => [name, String(value)]));
    },
  };
}
