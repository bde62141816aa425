import { once } from "node:events";
import { mkdtempDisposable, readdir } from "node:fs/promises";
import { lookup } from "node:dns/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { isInternal } from "#hub/git/address.ts";
import { openConnections, type Connections } from "#hub/git/connections.ts";
import { openMirror, type Mirror } from "#hub/git/mirror.ts";
import type { Wants } from "#hub/git/moves.ts";
import { openSource, type Source } from "#hub/loop/sources.ts";
import { startGitServer, type GitServer } from "#test/harness/git-server.ts";
import { sourceOptions } from "#test/harness/source-options.ts";

const allowedHosts = new Set(["127.0.0.1"]);
const searchPath = process.env["PATH"] ?? "";
let server: GitServer;
let folder: Awaited<ReturnType<typeof mkdtempDisposable>>;
let connections: Connections;
let url: string;
beforeEach(async () => {
  server = await startGitServer();
  folder = await mkdtempDisposable(join(tmpdir(), "plumbline-poll-"));
  connections = openConnections(allowedHosts);
  url = await server.createRepository("shop");
});
afterEach(async () => {
  await connections[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

const mainAnd = (tags: boolean): Wants => ({ branches: new Set(["main"]), tags, commits: new Set() });
const mirrorOf = (address: string, wants = mainAnd(false)): Promise<Mirror> =>
  openMirror({
    url: address,
    connections,
    directory: join(folder.path, "mirror.git"),
    searchPath,
    allowedHosts,
    wants: () => wants,
  });
const packs = (): Promise<string[]> => readdir(join(folder.path, "mirror.git", "objects"));

test("a quiet look is one small request on a kept connection, for the followed refs alone, and starts no git", async () => {
  await server.commit("shop", "main", { a: "1" }, "first");
  const mirror = await mirrorOf(url, mainAnd(true));
  await mirror.fetch();
  await server.commit("shop", "topic", { a: "2" }, "nobody follows this");
  await server.git("shop", ["update-ref", "refs/notes/large", "refs/heads/topic"]);
  const before = { asked: server.asked(), connections: server.connections(), packs: await packs() };
  const bytes = server.bytes();
  for (let look = 0; look < 5; look += 1) expect(await mirror.fetch(undefined, false)).toEqual([]);
  expect(server.asked() - before.asked).toBe(5);
  expect(server.connections()).toBe(before.connections);
  expect(await packs()).toEqual(before.packs);
  expect((server.bytes() - bytes) / 5).toBeLessThan(2_048);
  const tag = await server.git("shop", ["rev-parse", "main"]);
  await server.git("shop", ["update-ref", "refs/tags/v1.0.0", tag]);
  await mirror.fetch(undefined, false);
  expect((await mirror.refs()).tags.get("v1.0.0")).toBe(tag);
  await server.git("shop", ["update-ref", "-d", "refs/tags/v1.0.0"]);
  await mirror.fetch(undefined, false);
  expect((await mirror.refs()).tags.size).toBe(0);
});

test("what moved is fetched, and a commit of the hub's own is no move", async () => {
  const first = await server.commit("shop", "main", { a: "1" }, "first");
  const mirror = await mirrorOf(url);
  await mirror.fetch();
  const second = await server.commit("shop", "main", { a: "2" }, "second");
  expect(await mirror.fetch(undefined, false)).toEqual([{ kind: "forward", branch: "main", from: first, to: second }]);
});

test("a server that speaks no version 2 is left to git itself", async () => {
  server.speak("v1");
  const mirror = await mirrorOf(url);
  const head = await server.commit("shop", "main", { a: "1" }, "first");
  expect(await mirror.fetch()).toEqual([{ kind: "new", branch: "main", to: head }]);
});

test("a page where a repository was takes no branch away", async () => {
  const mirror = await mirrorOf(url);
  const head = await server.commit("shop", "main", { a: "1" }, "first");
  await mirror.fetch();
  server.speak("page");
  await expect(mirror.fetch()).rejects.toThrow("does not answer as a Git server does");
  expect(await mirror.head("main")).toBe(head);
  server.speak("v2");
  expect(await mirror.fetch()).toEqual([]);
});

test("a server that points elsewhere is not followed there, and what it says is not repeated", async () => {
  let followed = 0;
  const elsewhere = createServer((_request, response) => {
    followed += 1;
    response.end();
  }).listen(0, "127.0.0.1");
  await once(elsewhere, "listening");
  const { port } = elsewhere.address() as AddressInfo;
  server.speak({ redirect: `http://127.0.0.1:${port}/shop.git/info/refs?token=canary` });
  const error = await (await mirrorOf(url)).fetch().catch((cause: unknown) => cause as Error);
  expect((error as Error).message).toBe(
    `${url}: points to another address at 127.0.0.1:${port}, which is not followed: write the new address into the Repository`,
  );
  expect(followed).toBe(0);
  await once(elsewhere.close(), "close");
});

const ownName = hostname();
const ownAddress = await lookup(ownName).then(
  ({ address }) => address,
  () => "",
);

test.runIf(isInternal(ownAddress))(
  "a name that leads to an internal address is refused before anything is sent",
  async () => {
    const address = url.replace("127.0.0.1", ownName).replace("http:", "https:");
    const said = `${ownName} leads to the internal address ${ownAddress}: allow it with --allow-repository-host ${ownName}`;
    await expect((await mirrorOf(address)).fetch()).rejects.toThrow(said);
    await using without = await mkdtempDisposable(join(tmpdir(), "plumbline-poll-"));
    const settings = { url: address, directory: join(without.path, "m.git"), searchPath, allowedHosts };
    await expect((await openMirror(settings)).fetch()).rejects.toThrow(said);
    expect(server.asked()).toBe(0);
  },
);

async function sourceOf(name: string, signal: AbortSignal, onMove: (source: Source) => void): Promise<Source> {
  return openSource(
    { name, url: url.replace("shop", name), remote: {}, follows: () => ["main"] },
    sourceOptions(folder.path, signal, { connections, onMove }),
  );
}

test("a repository that hangs delays no other, and many hints while it is looked at are one more look", async () => {
  await server.createRepository("stuck");
  await server.commit("shop", "main", { a: "1" }, "first");
  const stop = new AbortController();
  const moved: string[] = [];
  const [shop, stuck] = await Promise.all(
    ["shop", "stuck"].map((name) => sourceOf(name, stop.signal, (source) => void moved.push(source.name))),
  );
  await Promise.all([shop!.following.look(), stuck!.following.look()]);

  server.hang("stuck");
  const waiting = stuck!.following.look();
  let isBack = false;
  void waiting.then(() => (isBack = true));
  const next = await server.commit("shop", "main", { a: "2" }, "second");

  await shop!.following.look();

  expect(shop!.head("main")).toBe(next);
  expect(isBack).toBe(false);
  const asked = server.asked();
  const looks = Array.from({ length: 1_000 }, () => shop!.following.look());
  await Promise.all(looks);

  expect(server.asked() - asked).toBeLessThanOrEqual(2);
  stop.abort();
  await Promise.all([shop!.following.ended, stuck!.following.ended, waiting]);
});
