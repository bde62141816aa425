import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { byteByByte } from "#test/harness/byte-by-byte.ts";
import { serveGit } from "#cli/demo/git-backend.ts";
import { createRepositories, type Repositories } from "#test/harness/repositories.ts";

/** A real Git server: git's own http-backend behind a loopback port. */
export type GitServer = Pick<Repositories, "git" | "commit" | "protect"> &
  AsyncDisposable & {
    /** Makes an empty bare repository and gives its address. */
    createRepository(name: string): Promise<string>;
    /** Called after each push and each `commit`, with the repository's name; a webhook is sent from here. */
    onPush: (name: string) => Promise<void>;
    /** Called when a request begins: "fetch" or "push". */
    onRequest: (name: string, service: "fetch" | "push") => void;
    /** The next requests fail so: 401, the connection hangs or is cut; or they are answered, byte by byte. */
    failWith(failure: "none" | "401" | "hang" | "cut" | "slow"): void;
    /** How many HTTP requests came in, whatever became of them. */
    asked(): number;
  };

export async function startGitServer(options: { authorization?: string } = {}): Promise<GitServer> {
  const repositories = await createRepositories();
  const { git, protect } = repositories;
  const backends = new Set<ChildProcess>();
  let asked = 0;
  let failure: Parameters<GitServer["failWith"]>[0] = "none";
  const hooks = {
    onPush: (_name: string): Promise<void> => Promise.resolve(),
    onRequest: (_name: string, _service: "fetch" | "push"): void => undefined,
  };
  const server = createServer((request, response) => {
    asked += 1;
    if (failure === "hang") return;
    if (failure === "cut") return void request.socket.destroy();
    if (failure === "401" || !isAllowed(request, options.authorization))
      return void response.writeHead(401, { "www-authenticate": "Basic" }).end();
    const service = /^\/([\w-]+)\.git\/git-(upload|receive)-pack$/.exec(request.url ?? "");
    if (service !== null) hooks.onRequest(service[1]!, service[2] === "upload" ? "fetch" : "push");
    const pushedTo = /^\/([\w-]+)\.git\/git-receive-pack$/.exec(request.url ?? "")?.[1];
    const done = (): void => void (pushedTo !== undefined && hooks.onPush(pushedTo));
    const backend = serveGit(repositories.root, request, failure === "slow" ? byteByByte(response) : response, done);
    backends.add(backend);
    backend.once("close", () => backends.delete(backend));
    // Of a client that is gone, the backend would wait for the rest.
    response.once("close", () => backend.kill("SIGKILL"));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;

  return Object.assign(hooks, {
    git,
    protect,
    asked: () => asked,
    failWith: (next: typeof failure) => void (failure = next),
    async createRepository(name: string) {
      await repositories.create(name);
      return `http://127.0.0.1:${port}/${name}.git`;
    },
    async commit(...change: Parameters<Repositories["commit"]>) {
      const commit = await repositories.commit(...change);
      await hooks.onPush(change[0]);
      return commit;
    },
    async [Symbol.asyncDispose]() {
      const closed = once(server.close(), "close");
      server.closeAllConnections();
      await Promise.all([closed, ...[...backends].map((backend) => once(backend, "close"))]);
      await repositories[Symbol.asyncDispose]();
    },
  });
}

const isAllowed = (request: IncomingMessage, authorization: string | undefined): boolean =>
  authorization === undefined || request.headers.authorization === authorization;
