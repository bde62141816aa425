import { execFile } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { serveGit } from "./git-backend.ts";

const run = promisify(execFile);

/** By path; null deletes. */
export type DemoFiles = Readonly<Record<string, string | Uint8Array | null>>;

/** The demo's fleet repository: bare, on disk, served by git itself on loopback for clones and pushes. */
export type DemoRepository = AsyncDisposable & {
  readonly url: string;
  /** Adds a commit on main that changes these files; null deletes. Gives its id. */
  commit(files: DemoFiles, message: string): Promise<string>;
  /** A file as main has it. */
  read(path: string, commit?: string): Promise<string>;
  /** Called after each push and commit. */
  onChange: () => void;
};

export async function openDemoRepository(folder: string): Promise<DemoRepository> {
  const directory = join(folder, "fleet.git");
  const env = { PATH: process.env["PATH"], GIT_CONFIG_NOSYSTEM: "1", GIT_CONFIG_GLOBAL: "/dev/null", HOME: folder };
  const git = async (arguments_: string[], input: string | Uint8Array = ""): Promise<string> => {
    const running = run("git", [`--git-dir=${directory}`, ...arguments_], { env });
    running.child.stdin?.on("error", () => undefined);
    running.child.stdin?.end(input);
    return (await running).stdout;
  };
  await run("git", ["init", "--quiet", "--bare", "--initial-branch=main", directory], { env });
  await git(["config", "http.receivepack", "true"]);
  const hooks = { onChange: (): void => undefined };
  const server = createServer((request, response) => {
    const isPush = request.url?.endsWith("/git-receive-pack") === true;
    serveGit(folder, request, response, () => void (isPush && hooks.onChange()));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return Object.assign(hooks, {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/fleet.git`,
    async commit(files: DemoFiles, message: string) {
      const changes = Object.entries(files).map(([path, text]) =>
        text === null ? [`D ${path}\n`] : [`M 644 inline ${path}\ndata ${Buffer.byteLength(text)}\n`, text, "\n"],
      );
      const from = (await git(["rev-parse", "--verify", "--quiet", "refs/heads/main"]).catch(() => "")).trim();
      const head = `commit refs/heads/main\ncommitter You <you@example.com> now\ndata ${Buffer.byteLength(message)}\n${message}\n`;
      await git(
        ["fast-import", "--quiet", "--date-format=now"],
        Buffer.concat(
          [head, from === "" ? "" : `from ${from}\n`, ...changes.flat(), "\n"].map((part) =>
            Buffer.from(part as string),
          ),
        ),
      );
      hooks.onChange();
      return (await git(["rev-parse", "refs/heads/main"])).trim();
    },
    read: (path: string, commit = "main") => git(["show", `${commit}:${path}`]),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await once(server.close(), "close");
    },
  });
}
