import type { IndexAnswer, IndexQuery } from "#hub/charts/chart-index.ts";
import { ChartUnavailable, elsewhere, type Answer, type Certificates, type Download } from "#hub/charts/download.ts";
import { sha256Hex } from "#proto/json.ts";

/** Bitnami's, the largest there is, has 20 MB. */
const indexBytes = 32 * 1024 * 1024;
/** A chart with the largest CRDs and its dependencies takes 1 MB. */
export const archiveBytes = 20 * 1024 * 1024;

export type ChartRepository = {
  readonly name: string;
  readonly type: "helm" | "oci";
  readonly url: string;
  /** "user:password", or a token; asked each time, so it may be rotated. */
  readonly credentials: () => Promise<string | undefined>;
  /** The same of the certificates that it is known by, and knows us by. */
  readonly tls: () => Promise<Certificates>;
};

export type ChartVersion = { readonly name: string; readonly version: string };

/** The archive of one version: index.yaml says where it lies, and mostly what its checksum is. */
export async function fromHelmRepository(
  repository: ChartRepository,
  { name, version }: ChartVersion,
  download: Download,
  find: (query: IndexQuery) => Promise<IndexAnswer>,
): Promise<Buffer> {
  const base = `${repository.url.replace(/\/+$/, "")}/`;
  const authorization = authorizationOf(await repository.credentials());
  const tls = await repository.tls();
  const address = `${base}index.yaml`;
  const index = expectOk(address, await download(address, { maxBytes: indexBytes, headers: authorization, tls }));
  const found = await find({ index, address, name, version });
  if (!found.ok) throw new ChartUnavailable(found.because);
  if (!URL.canParse(found.url, base)) throw new ChartUnavailable(`${address}: ${name} ${version} lies at no address`);
  const url = new URL(found.url, base);
  // Somebody else's server must not see them; as `helm pull` does without --pass-credentials.
  const isOwn = url.origin === new URL(base).origin;
  const shown = isOwn ? { headers: authorization, tls } : { tls: elsewhere(tls) };
  const options = { maxBytes: archiveBytes, ...shown, mayRedirect: true };
  const archive = expectOk(url.origin + url.pathname, await download(url.href, options));
  if (found.sha256 !== null && sha256Hex(archive) !== found.sha256)
    throw new ChartUnavailable(
      `${url.origin}${url.pathname} is sha256:${sha256Hex(archive)}, and ${address} says sha256:${found.sha256}`,
    );
  return archive;
}

export function authorizationOf(credentials: string | undefined): Record<string, string> {
  if (credentials === undefined) return {};
  return {
    authorization: credentials.includes(":")
      ? `Basic ${Buffer.from(credentials).toString("base64")}`
      : `Bearer ${credentials}`,
  };
}

export function expectOk(address: string, { status, body }: Answer): Buffer {
  if (status === 200) return body;
  const hint = status === 401 || status === 403 ? ": check the credentials of its Repository" : "";
  throw new ChartUnavailable(`${address} answers ${status}${hint}`);
}
