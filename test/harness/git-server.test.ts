import { mkdtempDisposable } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { expect, test } from "vitest";
import { openMirror } from "#hub/git/mirror.ts";
import { startGitServer, type GitServer } from "#test/harness/git-server.ts";

const refsOf = (url: string): string => `${url}/info/refs?service=git-upload-pack`;

/** The answer as it is on the wire. */
async function raw(url: string): Promise<string> {
  const { port, pathname, search } = new URL(url);
  const socket = connect(Number(port), "127.0.0.1");
  socket.write(`GET ${pathname}${search} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
  return text(socket);
}

async function started(server: GitServer): Promise<string> {
  const url = await server.createRepository("fleet");
  await server.commit("fleet", "main", { a: "1" }, "first");
  return refsOf(url);
}

test("401: whoever asks is told to say who it is", async () => {
  await using server = await startGitServer();
  const url = await started(server);
  server.failWith("401");
  expect((await fetch(url)).status).toBe(401);
  server.failWith("none");
  expect(await fetch(url).then((answer) => answer.text())).toContain("refs/heads/main");
});

test("cut: the connection ends without a word", async () => {
  await using server = await startGitServer();
  const url = await started(server);
  server.failWith("cut");
  expect(await raw(url).catch((error: NodeJS.ErrnoException) => error.code)).toMatch(/^(ECONNRESET|)$/);
});

test("hang: the connection stays and hears nothing until the server ends, while others are answered", async () => {
  let hanging: Promise<string>;
  {
    await using server = await startGitServer();
    const url = await started(server);
    server.failWith("hang");
    const { port, pathname, search } = new URL(url);
    const socket = connect(Number(port), "127.0.0.1");
    socket.write(`GET ${pathname}${search} HTTP/1.1\r\nhost: x\r\n\r\n`);
    hanging = text(socket).catch(() => "");
    await expect.poll(() => server.asked()).toBe(1);
    server.failWith("none");
    expect(await raw(url)).toContain("refs/heads/main");
  }
  expect(await hanging).toBe("");
});

test("slow: byte by byte, and whole in the end", async () => {
  await using server = await startGitServer();
  await using folder = await mkdtempDisposable(join(tmpdir(), "plumbline-slow-"));
  const url = await started(server);
  const fast = await fetch(url).then((answer) => answer.text());
  server.failWith("slow");
  const answer = await raw(url);
  const body = answer.slice(answer.indexOf("\r\n\r\n") + 4);
  // Chunks as HTTP writes them: their length, and that many bytes.
  const chunks = body.match(/1\r\n[^]\r\n/g) ?? [];
  expect(`${chunks.join("")}0\r\n\r\n`).toBe(body);
  expect(chunks.map((chunk) => chunk[3]).join("")).toBe(fast);
  const mirror = await openMirror({
    url: url.slice(0, url.indexOf("/info/refs")),
    directory: join(folder.path, "fleet.git"),
    allowedHosts: new Set(["127.0.0.1"]),
    searchPath: process.env["PATH"] ?? "",
  });
  expect(await mirror.fetch()).toMatchObject([{ kind: "new", branch: "main" }]);
});

test("ends while it still answers slowly, with nothing left running", async () => {
  const server = await startGitServer();
  const url = await started(server);
  server.failWith("slow");
  const answer = await fetch(url);
  await server[Symbol.asyncDispose]();
  await expect(answer.text()).rejects.toThrow("terminated");
});
