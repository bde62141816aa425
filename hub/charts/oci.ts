import { z } from "zod";
import {
  ChartUnavailable,
  elsewhere,
  type Answer,
  type Certificates,
  type Download,
  type DownloadOptions,
} from "#hub/charts/download.ts";
import { archiveBytes, expectOk, type ChartRepository, type ChartVersion } from "#hub/charts/helm-repository.ts";
import { sha256Hex } from "#proto/json.ts";

/** What the distribution specification asks registries to take at most. */
const manifestBytes = 4 * 1024 * 1024;
const tokenBytes = 1024 * 1024;

const manifestType = "application/vnd.oci.image.manifest.v1+json";
const contentType = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";

const manifestSchema = z.object({
  layers: z.array(z.object({ mediaType: z.string(), digest: z.string(), size: z.int().nonnegative() })).max(1_000),
});
const tokenSchema = z.object({ token: z.string().optional(), access_token: z.string().optional() });

/**
 * The archive of one version from an OCI registry, by the pull half of the distribution specification: manifest by tag,
 * content by digest, with a bearer token from where the registry says.
 */
export async function fromOci(
  repository: ChartRepository,
  { name, version }: ChartVersion,
  download: Download,
): Promise<Buffer> {
  const { base, path } = placeOf(repository.url, name);
  const get = authorized(download, await repository.credentials(), await repository.tls());
  // A tag cannot hold a plus; Helm pushes an underscore for it.
  const address = `${base}/v2/${path}/manifests/${version.replaceAll("+", "_")}`;
  const body = expectOk(address, await get(address, { maxBytes: manifestBytes, headers: { accept: manifestType } }));
  const layer = contentOf(address, body);
  if (layer.size > archiveBytes)
    throw new ChartUnavailable(`${address} is a chart of ${layer.size} bytes, at most 20 MiB are read`);
  const blob = `${base}/v2/${path}/blobs/${layer.digest}`;
  const archive = expectOk(blob, await get(blob, { maxBytes: archiveBytes, mayRedirect: true }));
  if (`sha256:${sha256Hex(archive)}` !== layer.digest)
    throw new ChartUnavailable(`${blob} gives content with the digest sha256:${sha256Hex(archive)}`);
  return archive;
}

/** A registry on this machine speaks plain http, as it does for every other client. */
function placeOf(url: string, name: string): { base: string; path: string } {
  const { host, hostname, pathname } = new URL(url.replace(/^oci:/, "https:"));
  const isHere = /^(?:localhost|127\.\d+\.\d+\.\d+)$/.test(hostname);
  const path = `${pathname.replace(/^\/+|\/+$/g, "")}/${name}`.replace(/^\/+/, "");
  return { base: `${isHere ? "http" : "https"}://${host}`, path };
}

function contentOf(address: string, body: Buffer): { digest: string; size: number } {
  let layers: z.infer<typeof manifestSchema>["layers"];
  try {
    ({ layers } = manifestSchema.parse(JSON.parse(body.toString("utf8"))));
  } catch (cause) {
    throw new ChartUnavailable(`${address} is no OCI manifest`, { cause });
  }
  const content = layers.find(({ mediaType }) => mediaType === contentType);
  if (content === undefined) throw new ChartUnavailable(`${address} is no Helm chart`);
  if (!/^sha256:[0-9a-f]{64}$/.test(content.digest))
    throw new ChartUnavailable(`${address} names its content by a digest that is no sha256`);
  return content;
}

/** Answers the registry's challenge once, and keeps what it got for the requests after. */
function authorized(
  download: Download,
  credentials: string | undefined,
  tls: Certificates,
): (address: string, options: DownloadOptions) => Promise<Answer> {
  const basic =
    credentials === undefined
      ? undefined
      : `Basic ${Buffer.from(credentials.includes(":") ? credentials : `token:${credentials}`).toString("base64")}`;
  let authorization: string | undefined;
  return async (address, options) => {
    const ask = (): Promise<Answer> =>
      download(address, {
        ...options,
        tls,
        headers: { ...options.headers, ...(authorization === undefined ? {} : { authorization }) },
      });
    const first = await ask();
    if (first.status !== 401 || authorization !== undefined) return first;
    const challenge = String(first.headers["www-authenticate"] ?? "");
    if (/^bearer /i.test(challenge))
      authorization = `Bearer ${await tokenFor(challenge, basic, (realm, given) => download(realm, { ...given, tls: isOf(realm, address) ? tls : elsewhere(tls) }))}`;
    else if (/^basic/i.test(challenge) && basic !== undefined) authorization = basic;
    else return first;
    return await ask();
  };
}

const isOf = (address: string, other: string): boolean => new URL(address).origin === new URL(other).origin;

type Ask = (address: string, options: DownloadOptions) => Promise<Answer>;

async function tokenFor(challenge: string, basic: string | undefined, download: Ask): Promise<string> {
  const fields = Object.fromEntries(
    [...challenge.matchAll(/([a-z]+)="([^"]*)"/gi)].map(([, name, value]) => [name!.toLowerCase(), value!]),
  );
  const { realm = "", service, scope } = fields;
  if (!URL.canParse(realm)) throw new ChartUnavailable("the registry asks for a token of nowhere");
  const url = new URL(realm);
  if (service !== undefined) url.searchParams.set("service", service);
  if (scope !== undefined) url.searchParams.set("scope", scope);
  const headers = basic === undefined ? {} : { authorization: basic };
  const body = expectOk(url.origin + url.pathname, await download(url.href, { maxBytes: tokenBytes, headers }));
  const parsed = tokenSchema.safeParse(jsonOf(body));
  const token = parsed.data?.token ?? parsed.data?.access_token;
  if (token === undefined) throw new ChartUnavailable(`${url.origin}${url.pathname} gives no token`);
  return token;
}

function jsonOf(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    return undefined;
  }
}
