import { generateKeyPairSync, verify } from "node:crypto";
import { once } from "node:events";
import { mkdir, mkdtempDisposable, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openConnections, type Connections } from "#hub/git/connections.ts";
import { createAppTokens } from "#hub/git/github-app.ts";
import { openMirror, type Mirror } from "#hub/git/mirror.ts";
import { accessOf, type DeclaredAccess } from "#hub/loop/credentials.ts";
import { systemClock } from "#lib/clock.ts";
import { createAuthority, type Authority } from "#test/harness/authority.ts";
import { startGitServer, type GitServer, type GitServerOptions } from "#test/harness/git-server.ts";

const canary = "canary-4711";
const allowedHosts = new Set(["127.0.0.1"]);
let folder: Awaited<ReturnType<typeof mkdtempDisposable>>;
let connections: Connections;
beforeEach(async () => {
  folder = await mkdtempDisposable(join(tmpdir(), "plumbline-credentials-"));
  connections = openConnections(allowedHosts);
});
afterEach(async () => {
  await connections[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

const fileOf = (name: string): string => join(folder.path, name);
const put = async (name: string, text: string): Promise<{ file: string }> => {
  await writeFile(fileOf(name), text);
  return { file: fileOf(name) };
};
type Access = Partial<DeclaredAccess>;
let mirrors = 0;
async function mirrorOf(url: string, access: Access, secretFolder?: string, clock = systemClock): Promise<Mirror> {
  const appTokens = createAppTokens(connections, allowedHosts, clock);
  const declared = async (): Promise<DeclaredAccess> => ({ authorization: "basic", hostKeys: [], ...access });
  return openMirror({
    url,
    ...accessOf(declared, { secretFolder, appTokens }),
    connections,
    directory: fileOf(`mirror-${(mirrors += 1)}.git`),
    searchPath: process.env["PATH"] ?? "",
    allowedHosts,
    wants: () => ({ branches: new Set(["main"]), tags: false, commits: new Set() }),
  });
}
async function serverWith(options: GitServerOptions): Promise<{ server: GitServer; url: string; head: string }> {
  const server = await startGitServer(options);
  const url = await server.createRepository("shop");
  return { server, url, head: await server.commit("shop", "main", { a: "1" }, "first") };
}
/** What goes wrong is said without the secret, wherever it is looked for. */
async function refusal(mirror: Mirror): Promise<string> {
  const error = (await mirror.fetch().then(
    () => new Error("it was let in"),
    (cause: unknown) => cause,
  )) as Error;
  const said = `${error.message} ${error.stack} ${JSON.stringify(error.cause ?? "")}`;
  expect(said).not.toContain(canary);
  expect(said).not.toContain(Buffer.from(`x-access-token:${canary}`).toString("base64"));
  return error.message;
}

test("a token is shown as basic or as a bearer, and a new one is taken at the next look", async () => {
  const schemes = [
    ["basic", `Basic ${Buffer.from(`x-access-token:${canary}`).toString("base64")}`],
    ["bearer", `Bearer ${canary}`],
  ] as const;
  for (const [authorization, expected] of schemes) {
    const { server, url, head } = await serverWith({ authorization: expected });
    await using _server = server;
    const credentials = await put("token", "another");
    const mirror = await mirrorOf(url, { authorization, credentials });
    expect(await refusal(mirror)).toBe(`${url}: answers 401: it does not accept the credentials, or there are none`);
    await put("token", `${canary}\n`);
    expect(await mirror.fetch()).toEqual([{ kind: "new", branch: "main", to: head }]);
  }
});

test("a token that would be two headers is not sent", async () => {
  const { server, url } = await serverWith({});
  await using _server = server;
  const asked = server.asked();
  const credentials = await put("token", `${canary}\nX-Evil: 1`);
  expect(await refusal(await mirrorOf(url, { authorization: "bearer", credentials }))).toContain("more than one line");
  expect(server.asked()).toBe(asked);
});

test("a mounted Secret is read by its namespace, name and key, and its absence says what to do", async () => {
  const { server, url, head } = await serverWith({ authorization: `Bearer ${canary}` });
  await using _server = server;
  await mkdir(fileOf("secrets/forge/shop"), { recursive: true });
  await put("secrets/forge/shop/token", canary);
  const access: Access = {
    authorization: "bearer",
    credentials: { secret: { namespace: "forge", name: "shop", key: "token" } },
  };
  expect(await refusal(await mirrorOf(url, access))).toContain("the Secret forge/shop is not at hand: mount it");
  const mirror = await mirrorOf(url, access, fileOf("secrets"));
  expect(await mirror.fetch()).toEqual([{ kind: "new", branch: "main", to: head }]);
});

/** An HTTPS server that knows clients by their certificates. */
async function tlsServer(authority: Authority, clients: Authority) {
  const { keyPem, certificatePem } = await authority.issue("CN=forge", { ips: ["127.0.0.1"] });
  const tls = { key: keyPem, cert: certificatePem, ca: clients.certificatePem, requestCert: true };
  return serverWith({ tls });
}

test("an authority and a client certificate of one's own get the hub in, by its own asking and by git, also when they are rotated", async () => {
  const [authority, clients, strangers] = await Promise.all([createAuthority(), createAuthority(), createAuthority()]);
  const { server, url, head } = await tlsServer(authority, clients);
  await using _server = server;
  const own = await clients.issue("CN=hub");
  const foreign = await strangers.issue("CN=hub");
  const certificate = await put("hub.pem", foreign.certificatePem);
  const key = await put("hub.key", foreign.keyPem);
  await refusal(await mirrorOf(url, { clientCertificate: { certificate, key } }));
  const ca = await put("ca.pem", authority.certificatePem);
  await refusal(await mirrorOf(url, { ca }));
  const mirror = await mirrorOf(url, { ca, clientCertificate: { certificate, key } });
  await refusal(mirror);
  await put("hub.pem", own.certificatePem);
  await put("hub.key", own.keyPem);
  expect(await mirror.fetch()).toEqual([{ kind: "new", branch: "main", to: head }]);
  const next = await server.commit("shop", "main", { a: "2" }, "second");
  expect(await mirror.fetch()).toMatchObject([{ kind: "forward", to: next }]);
});

/** The part of GitHub's API that gives tokens, as its documentation has it. */
async function githubApi(publicKey: ReturnType<typeof generateKeyPairSync>["publicKey"], clock: { now(): number }) {
  const given: string[] = [];
  const server: Server = createServer((request, response) => {
    const [head = "", claims = "", signature = ""] = (request.headers.authorization ?? "")
      .replace("Bearer ", "")
      .split(".");
    const proof = JSON.parse(Buffer.from(claims, "base64url").toString()) as { iss: string; iat: number; exp: number };
    const seconds = clock.now() / 1000;
    const isGood =
      request.method === "POST" &&
      request.url === "/api/v3/app/installations/42/access_tokens" &&
      verify("sha256", Buffer.from(`${head}.${claims}`), publicKey, Buffer.from(signature, "base64url")) &&
      proof.iss === "7" &&
      proof.iat <= seconds &&
      proof.exp > seconds &&
      proof.exp - proof.iat <= 600;
    if (!isGood) return void response.writeHead(401, { "content-type": "application/json" }).end("{}");
    given.push(`${canary}-${given.length + 1}`);
    const expires_at = new Date(clock.now() + 3_600_000).toISOString();
    response.writeHead(201, { "content-type": "application/json" });
    response.end(JSON.stringify({ token: given.at(-1), expires_at }));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const api = `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/v3`;
  return {
    api,
    given,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await once(server.close(), "close");
    },
  };
}

test("a GitHub App gets a token for an hour, asks for another before it ends or when it is turned away, and for one at a time", async () => {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  let nowMs = 1_700_000_000_000;
  const clock = { ...systemClock, now: () => nowMs };
  await using api = await githubApi(publicKey, clock);
  const basic = (): string => `Basic ${Buffer.from(`x-access-token:${api.given.at(-1)}`).toString("base64")}`;
  const { server, url, head } = await serverWith({ authorization: basic });
  await using _server = server;
  const credentials = await put(
    "app.pem",
    generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ type: "pkcs1", format: "pem" }) as string,
  );
  const githubApp = { id: "7", installation: "42", api: api.api };
  const mirror = await mirrorOf(url, { credentials, githubApp }, undefined, clock);
  expect(await refusal(mirror)).toContain("gives app 7 no token for installation 42 (401)");
  await put("app.pem", canary);
  expect(await refusal(mirror)).toContain("no private key of a GitHub App");
  await put("app.pem", privateKey.export({ type: "pkcs1", format: "pem" }) as string);
  expect(await mirror.fetch()).toEqual([{ kind: "new", branch: "main", to: head }]);
  await mirror.fetch();
  expect(api.given).toHaveLength(1);
  nowMs += 56 * 60_000;
  await mirror.fetch();
  expect(api.given).toHaveLength(2);
  // Revoked over there: the next look asks for a new one.
  api.given.push("revoked");
  await refusal(mirror);
  await mirror.fetch();
  expect(api.given).toHaveLength(4);

  const tokens = createAppTokens(connections, allowedHosts, clock);
  const app = { ...githubApp, privateKey: privateKey.export({ type: "pkcs1", format: "pem" }) as string };
  const asked = await Promise.all([1, 2, 3].map(() => tokens.token(app, {})));
  expect(new Set(asked).size).toBe(1);
});
