import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { cp } from "node:fs/promises";
import { createServer, type IncomingMessage, type RequestListener } from "node:http";
import { createServer as createTlsServer, type ServerOptions } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { join } from "node:path";
import { byteByByte } from "#test/harness/byte-by-byte.ts";
import { serveGit } from "#cli/demo/git-backend.ts";
import { createRepositories, type ObjectFormat, type Repositories } from "#test/harness/repositories.ts";

/** A real Git server: git's own http-backend behind a loopback port. */
export type GitServer = Pick<Repositories, "git" | "commit" | "protect"> &
  AsyncDisposable & {
    /** Makes an empty bare repository and gives its address. */
    createRepository(name: string, objectFormat?: ObjectFormat): Promise<string>;
    /** Called after each push and each `commit`, with the repository's name; a webhook is sent from here. */
    onPush: (name: string) => Promise<void>;
    /** Called when a request begins: "fetch" or "push". */
    onRequest: (name: string, service: "fetch" | "push") => void;
    /** The next requests fail so: 401, the connection hangs or is cut; or they are answered, byte by byte. */
    failWith(failure: "none" | "401" | "hang" | "cut" | "slow"): void;
    /** Of each request that was left hanging, in their order: resolves when whoever asked gave it up. */
    hung(): readonly Promise<unknown>[];
    /** Requests for this repository are not answered; "" is none. */
    hang(name: string): void;
    /** Answers as another kind of server would: without protocol v2, with a page, or by pointing elsewhere. */
    speak(how: "v2" | "v1" | "page" | { readonly redirect: string }): void;
    /** Another repository with the same content. */
    copyRepository(from: string, to: string): Promise<string>;
    /** How many HTTP requests came in, whatever became of them. */
    asked(): number;
    /** How many connections were opened. */
    connections(): number;
    /** What went over them, both ways. */
    bytes(): number;
  };

export type GitServerOptions = {
  /** What a request must show. */
  readonly authorization?: string | (() => string);
  /** Speaks HTTPS, with these settings. */
  readonly tls?: ServerOptions;
};

export async function startGitServer(options: GitServerOptions = {}): Promise<GitServer> {
  const repositories = await createRepositories();
  const { git, protect } = repositories;
  const backends = new Set<ChildProcess>();
  let asked = 0;
  let failure: Parameters<GitServer["failWith"]>[0] = "none";
  const hooks = {
    onPush: (_name: string): Promise<void> => Promise.resolve(),
    onRequest: (_name: string, _service: "fetch" | "push"): void => undefined,
  };
  let stuck = "";
  const hung: Promise<unknown>[] = [];
  let spoken: Parameters<GitServer["speak"]>[0] = "v2";
  const sockets = new Set<Socket>();
  let bytesOfClosed = 0;
  const bytesOf = ({ bytesRead, bytesWritten }: Socket): number => bytesRead + bytesWritten;
  const answer: RequestListener = (request, response) => {
    asked += 1;
    if (failure === "hang" || (stuck !== "" && request.url?.startsWith(`/${stuck}.git/`) === true))
      return void hung.push(once(response, "close"));
    if (spoken === "page") return void response.writeHead(200, { "content-type": "text/html" }).end("<html></html>");
    if (typeof spoken === "object") return void response.writeHead(302, { location: spoken.redirect }).end();
    if (spoken === "v1") delete request.headers["git-protocol"];
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
  };
  const server = options.tls === undefined ? createServer(answer) : createTlsServer(options.tls, answer);
  let opened = 0;
  server.on("connection", (socket: Socket) => {
    opened += 1;
    sockets.add(socket);
    socket.once("close", () => {
      sockets.delete(socket);
      bytesOfClosed += bytesOf(socket);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const addressOf = (name: string): string =>
    `${options.tls === undefined ? "http" : "https"}://127.0.0.1:${port}/${name}.git`;

  return Object.assign(hooks, {
    git,
    protect,
    asked: () => asked,
    connections: () => opened,
    bytes: () => [...sockets].reduce((sum, socket) => sum + bytesOf(socket), bytesOfClosed),
    hung: () => hung,
    hang: (name: string) => void (stuck = name),
    speak: (how: typeof spoken) => void (spoken = how),
    failWith: (next: typeof failure) => void (failure = next),
    async createRepository(name: string, objectFormat?: ObjectFormat) {
      await repositories.create(name, objectFormat);
      return addressOf(name);
    },
    async copyRepository(from: string, to: string) {
      await cp(join(repositories.root, `${from}.git`), join(repositories.root, `${to}.git`), { recursive: true });
      return addressOf(to);
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

function isAllowed(request: IncomingMessage, authorization: GitServerOptions["authorization"]): boolean {
  const wanted = typeof authorization === "function" ? authorization() : authorization;
  return wanted === undefined || request.headers.authorization === wanted;
}
