import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { serveGit } from "#cli/demo/git-backend.ts";

const run = promisify(execFile);

/** A real Git server: git's own http-backend behind a loopback port. */
export type GitServer = AsyncDisposable & {
  /** Makes an empty bare repository and gives its address. */
  createRepository(name: string): Promise<string>;
  /** Runs git in a repository, as its owner would on the server. */
  git(name: string, arguments_: readonly string[], input?: string): Promise<string>;
  /** Adds a commit that changes these files (null deletes), and gives its id. */
  commit(
    name: string,
    branch: string,
    files: Readonly<Record<string, string | null>>,
    message: string,
  ): Promise<string>;
  /** Called after each push and each `commit`, with the repository's name; a webhook is sent from here. */
  onPush: (name: string) => Promise<void>;
  /** Called when a request begins: "fetch" or "push". */
  onRequest: (name: string, service: "fetch" | "push") => void;
  /** Every push is declined with these words, as a protected branch is. */
  protect(name: string, because: string): Promise<void>;
  /** The next requests fail so: 401, or the connection hangs or is cut. */
  failWith(failure: "none" | "401" | "hang" | "cut"): void;
};

export async function startGitServer(options: { authorization?: string } = {}): Promise<GitServer> {
  const root = await mkdtemp(join(tmpdir(), "plumbline-git-"));
  let failure: Parameters<GitServer["failWith"]>[0] = "none";
  const hooks = {
    onPush: (_name: string): Promise<void> => Promise.resolve(),
    onRequest: (_name: string, _service: "fetch" | "push"): void => undefined,
  };
  const server = createServer((request, response) => {
    if (failure === "hang") return;
    if (failure === "cut") return void request.socket.destroy();
    if (failure === "401" || !isAllowed(request, options.authorization))
      return void response.writeHead(401, { "www-authenticate": "Basic" }).end();
    const asked = /^\/([\w-]+)\.git\/git-(upload|receive)-pack$/.exec(request.url ?? "");
    if (asked !== null) hooks.onRequest(asked[1]!, asked[2] === "upload" ? "fetch" : "push");
    const pushedTo = /^\/([\w-]+)\.git\/git-receive-pack$/.exec(request.url ?? "")?.[1];
    serveGit(root, request, response, () => void (pushedTo !== undefined && hooks.onPush(pushedTo)));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;

  const git: GitServer["git"] = async (name, arguments_, input) => {
    const running = run("git", ["-C", join(root, `${name}.git`), ...arguments_], { env: author });
    // A git that ended before it read everything says so by its exit code.
    running.child.stdin?.on("error", () => undefined);
    running.child.stdin?.end(input ?? "");
    return (await running).stdout.trim();
  };
  return Object.assign(hooks, {
    git,
    failWith: (next: typeof failure) => void (failure = next),
    protect: (name: string, because: string) =>
      writeFile(
        join(root, `${name}.git`, "hooks", "pre-receive"),
        `#!/bin/sh\necho ${JSON.stringify(because)} >&2\nexit 1\n`,
        {
          mode: 0o755,
        },
      ),
    async createRepository(name: string) {
      await run("git", ["init", "--quiet", "--bare", "--initial-branch=main", join(root, `${name}.git`)]);
      await git(name, ["config", "http.receivepack", "true"]);
      return `http://127.0.0.1:${port}/${name}.git`;
    },
    async commit(name: string, branch: string, files: Readonly<Record<string, string | null>>, message: string) {
      const changes = Object.entries(files).map(([path, text]) =>
        text === null ? `D ${path}\n` : `M 644 inline ${path}\ndata ${Buffer.byteLength(text)}\n${text}\n`,
      );
      const ref = `refs/heads/${branch}`;
      const from = await git(name, ["rev-parse", "--verify", "--quiet", ref]).catch(() => "");
      const head = `commit ${ref}\ncommitter dev1 <dev1@example.com> now\ndata ${Buffer.byteLength(message)}\n${message}\n`;
      const stream = `${head}${from === "" ? "" : `from ${from}\n`}${changes.join("")}\n`;
      await git(name, ["fast-import", "--quiet", "--date-format=now"], stream);
      const commit = await git(name, ["rev-parse", ref]);
      await hooks.onPush(name);
      return commit;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await once(server.close(), "close");
      await rm(root, { recursive: true, force: true });
    },
  });
}

const author = {
  PATH: process.env["PATH"],
  GIT_AUTHOR_NAME: "dev1",
  GIT_AUTHOR_EMAIL: "dev1@example.com",
  GIT_COMMITTER_NAME: "dev1",
  GIT_COMMITTER_EMAIL: "dev1@example.com",
};

const isAllowed = (request: IncomingMessage, authorization: string | undefined): boolean =>
  authorization === undefined || request.headers.authorization === authorization;
