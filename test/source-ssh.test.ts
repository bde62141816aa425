import { mkdtempDisposable, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { accessOf } from "#hub/loop/credentials.ts";
import { openSource } from "#hub/loop/sources.ts";
import type { Log } from "#lib/log.ts";
import { createSshKey, startGitSshServer } from "#test/harness/git-ssh-server.ts";
import { sourceOptions } from "#test/harness/source-options.ts";

test("a repository over ssh says why it is not followed, and is followed once its keys are right; no key is logged", async () => {
  await using server = await startGitSshServer();
  await using folder = await mkdtempDisposable(join(tmpdir(), "plumbline-source-"));
  const head = await server.createRepository("apps").then(() => server.commit("apps", "main", { a: "1" }, "first"));
  const keyFile = join(folder.path, "id_ed25519");
  let credentialsFile: string | undefined;
  let hostKeys = [`[127.0.0.1]:${server.port} ${createSshKey().public}`];
  let logged = "";
  const log = (fields: object, message: string): void => void (logged += `${message} ${JSON.stringify(fields)}\n`);
  const stop = new AbortController();
  const source = await openSource(
    {
      name: "apps",
      url: `ssh://git@127.0.0.1:${server.port}/apps.git`,
      remote: accessOf(
        async () => ({
          ...(credentialsFile && { credentials: { file: credentialsFile } }),
          authorization: "basic",
          hostKeys,
        }),
        {
          secretFolder: undefined,
          appTokens: { token: () => Promise.reject(new Error("no app")), forget: () => undefined },
        },
      ),
      follows: () => ["main"],
    },
    sourceOptions(folder.path, stop.signal, { log: { info: log, warn: log, error: log } satisfies Log }),
  );
  const problem = async (): Promise<string> => {
    await source.following.look();
    return source.problem();
  };
  try {
    expect(await problem()).toContain("name its file under credentials");
    credentialsFile = keyFile;
    expect(await problem()).toContain("id_ed25519");
    await writeFile(keyFile, server.clientKey, { mode: 0o644 });
    expect(await problem()).toContain("host key that is not pinned");
    hostKeys = [server.knownHost];
    await source.following.look();
    expect(source.head("main")).toBe(head);
    await rm(keyFile);
    expect(await problem()).toContain("id_ed25519");
    expect(source.head("main")).toBe(head);
    await writeFile(keyFile, server.clientKey);
    expect(await problem()).toBe("");
  } finally {
    stop.abort();
    await source.following.ended;
  }
  expect(logged).toContain('not reachable; what was fetched is kept {"repository":"apps"');
  for (const line of server.clientKey.split("\n").slice(1, -2)) expect(logged).not.toContain(line);
});
