import { execFile } from "node:child_process";
import { mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** By which hash a repository names what it holds. */
export type ObjectFormat = "sha1" | "sha256";

/** Bare repositories in a folder of their own, and what their owner does with them on the server. */
export type Repositories = AsyncDisposable & {
  readonly root: string;
  /** Makes an empty bare repository. */
  create(name: string, objectFormat?: ObjectFormat): Promise<void>;
  /** Runs git in a repository, as its owner would on the server. */
  readonly git: (name: string, arguments_: readonly string[], input?: string | Uint8Array) => Promise<string>;
  /** Adds a commit that changes these files (null deletes), and gives its id. */
  readonly commit: (
    name: string,
    branch: string,
    files: Readonly<Record<string, string | null>>,
    message: string,
  ) => Promise<string>;
  /** Every push is declined with these words, as a protected branch is. */
  readonly protect: (name: string, because: string) => Promise<void>;
};

export async function createRepositories(): Promise<Repositories> {
  const folder = await mkdtempDisposable(join(tmpdir(), "plumbline-git-"));
  const root = folder.path;
  const git: Repositories["git"] = async (name, arguments_, input) => {
    const running = run("git", ["-C", join(root, `${name}.git`), ...arguments_], { env: author });
    // A git that ended before it read everything says so by its exit code.
    running.child.stdin?.on("error", () => undefined);
    running.child.stdin?.end(input ?? "");
    return (await running).stdout.trim();
  };
  return {
    root,
    git,
    async create(name, objectFormat = "sha1") {
      const how = ["--quiet", "--bare", "--initial-branch=main", `--object-format=${objectFormat}`];
      await run("git", ["init", ...how, join(root, `${name}.git`)]);
      await git(name, ["config", "http.receivepack", "true"]);
    },
    async commit(name, branch, files, message) {
      const changes = Object.entries(files).map(([path, text]) =>
        text === null ? `D ${path}\n` : `M 644 inline ${path}\ndata ${Buffer.byteLength(text)}\n${text}\n`,
      );
      const ref = `refs/heads/${branch}`;
      const from = await git(name, ["rev-parse", "--verify", "--quiet", ref]).catch(() => "");
      const head = `commit ${ref}\ncommitter dev1 <dev1@example.com> now\ndata ${Buffer.byteLength(message)}\n${message}\n`;
      const stream = `${head}${from === "" ? "" : `from ${from}\n`}${changes.join("")}\n`;
      await git(name, ["fast-import", "--quiet", "--date-format=now"], stream);
      return git(name, ["rev-parse", ref]);
    },
    protect: (name, because) =>
      writeFile(
        join(root, `${name}.git`, "hooks", "pre-receive"),
        `#!/bin/sh\necho ${JSON.stringify(because)} >&2\nexit 1\n`,
        { mode: 0o755 },
      ),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

const author = {
  PATH: process.env["PATH"],
  GIT_AUTHOR_NAME: "dev1",
  GIT_AUTHOR_EMAIL: "dev1@example.com",
  GIT_COMMITTER_NAME: "dev1",
  GIT_COMMITTER_EMAIL: "dev1@example.com",
};
