import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import { createServer as createTlsServer, type ServerOptions } from "node:https";
import type { AddressInfo } from "node:net";
import { TLSSocket } from "node:tls";

type Server = AsyncDisposable & {
  readonly origin: string;
  /** Path and authorization of every request, and the name in the certificate that it was made with. */
  readonly requests: { path: string; authorization: string | undefined; client?: string | undefined }[];
};

async function serve(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
  tls?: ServerOptions,
): Promise<Server> {
  const requests: Server["requests"] = [];
  const listener: RequestListener = (request, response) => {
    const client = request.socket instanceof TLSSocket ? request.socket.getPeerCertificate().subject?.CN : undefined;
    requests.push({
      path: request.url ?? "",
      authorization: request.headers.authorization,
      client: client?.toString(),
    });
    answer(request, response);
  };
  const server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    origin: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    async [Symbol.asyncDispose]() {
      const closed = once(server.close(), "close");
      server.closeAllConnections();
      await closed;
    },
  };
}

/** A static Helm repository: files, and perhaps a word that lets in. */
export type HelmRepository = Server & {
  readonly url: string;
  /** By path: content, or where to be sent. */
  readonly files: Map<string, Buffer | string | { readonly location: string }>;
  authorization: string | undefined;
};

export async function startHelmRepository(tls?: ServerOptions): Promise<HelmRepository> {
  const files: HelmRepository["files"] = new Map();
  const settings: { authorization: string | undefined } = { authorization: undefined };
  const server = await serve((request, response) => {
    if (settings.authorization !== undefined && request.headers.authorization !== settings.authorization)
      return void response.writeHead(401, { "www-authenticate": "Basic" }).end();
    const found = files.get(request.url ?? "");
    if (found === undefined) return void response.writeHead(404).end("not here");
    if (typeof found === "object" && "location" in found) return void response.writeHead(302, found).end();
    response.end(found);
  }, tls);
  const protocol = tls === undefined ? "http" : "https";
  return Object.assign(settings, server, { files, url: `${protocol}://${server.origin}/charts` });
}

/** The index of one version, as `helm repo index` writes it. */
export const indexOf = (name: string, version: string, archive: Buffer, url = `${name}-${version}.tgz`): string =>
  `apiVersion: v1\nentries:\n  ${name}:\n  - name: ${name}\n    version: ${version}\n    created: "2026-01-01T00:00:00Z"\n    digest: ${sha256(archive)}\n    urls: [${url}]\n`;

/** The pull half of the OCI distribution specification, with its bearer tokens. */
export type Registry = Server & {
  readonly url: string;
  /** What the token's server asks for; without it, everybody gets one. */
  credentials: string | undefined;
  /** Blobs are then fetched from there. */
  blobsAt: string | undefined;
  push(name: string, version: string, archive: Buffer): void;
};

const contentType = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";

export async function startRegistry(): Promise<Registry> {
  const manifests = new Map<string, Buffer>();
  const blobs = new Map<string, Buffer>();
  const settings: Pick<Registry, "credentials" | "blobsAt"> = { credentials: undefined, blobsAt: undefined };
  const token = "a-token-of-this-registry";
  let origin = "";
  const server = await serve((request, response) => {
    const url = new URL(request.url ?? "/", `http://${origin}`);
    if (url.pathname === "/token") {
      const wanted = settings.credentials && `Basic ${Buffer.from(settings.credentials).toString("base64")}`;
      if (wanted !== undefined && request.headers.authorization !== wanted) return void response.writeHead(401).end();
      if (url.searchParams.get("scope") !== "repository:team/charts/web:pull")
        return void response.writeHead(400).end();
      return void response.end(JSON.stringify({ token }));
    }
    if (request.headers.authorization !== `Bearer ${token}`) {
      const challenge = `Bearer realm="http://${origin}/token",service="test",scope="repository:team/charts/web:pull"`;
      return void response.writeHead(401, { "www-authenticate": challenge }).end();
    }
    const [, path, kind, reference] = /^\/v2\/(.+)\/(manifests|blobs)\/([^/]+)$/.exec(url.pathname) ?? [];
    if (kind === "blobs" && settings.blobsAt !== undefined)
      return void response.writeHead(307, { location: `${settings.blobsAt}/${reference}` }).end();
    const found = kind === "manifests" ? manifests.get(`${path}:${reference}`) : blobs.get(reference ?? "");
    if (found === undefined) return void response.writeHead(404).end('{"errors": []}');
    response.end(found);
  });
  ({ origin } = server);
  return Object.assign(settings, server, {
    url: `oci://${origin}/team/charts`,
    push(name: string, version: string, archive: Buffer) {
      const digest = `sha256:${sha256(archive)}`;
      blobs.set(digest, archive);
      const layer = { mediaType: contentType, digest, size: archive.length };
      const config = { mediaType: "application/vnd.cncf.helm.config.v1+json", digest, size: 2 };
      const manifest = { schemaVersion: 2, config, layers: [layer] };
      manifests.set(`team/charts/${name}:${version.replaceAll("+", "_")}`, Buffer.from(JSON.stringify(manifest)));
    },
  });
}

const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");
