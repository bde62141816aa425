import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createServer, type AddressInfo, type Socket } from "node:net";
import ssh2, { type AuthContext, type Connection, type ParsedKey, type ServerChannel } from "ssh2";
import { createRepositories, type Repositories } from "#test/harness/repositories.ts";

/** One git command that a client ran. */
export type SshRequest = { readonly repository: string; readonly service: "fetch" | "push" };

/** A real Git server over SSH: git's own upload-pack and receive-pack behind a loopback port. */
export type GitSshServer = Pick<Repositories, "git" | "commit" | "protect"> &
  AsyncDisposable & {
    readonly port: number;
    /** The line of a known_hosts file that trusts this server. */
    readonly knownHost: string;
    /** The one private key that is let in, as OpenSSH writes it. */
    readonly clientKey: string;
    /** Makes an empty bare repository and gives its address. */
    createRepository(name: string): Promise<string>;
    /** Every git command so far, in order. */
    requests(): readonly SshRequest[];
    /** How often a client offered a key, let in or not. */
    offered(): number;
    /** Awaited before a git command begins. */
    onRequest: (request: SshRequest) => Promise<void>;
    /** The next connections are taken, and hear nothing. */
    failWith(failure: "none" | "hang"): void;
  };

/** A key pair as ssh-keygen makes it: a private key that `ssh -i` reads, and the public one as `ssh-ed25519 AAAA...`. */
export function createSshKey(): { private: string; public: string } {
  for (;;) {
    const pair = ssh2.utils.generateKeyPairSync("ed25519");
    // ssh2 writes a few keys in a thousand in a form that nobody can read, itself included.
    if (!(ssh2.utils.parseKey(pair.private) instanceof Error)) return pair;
  }
}

export async function startGitSshServer(): Promise<GitSshServer> {
  await using started = new AsyncDisposableStack();
  const repositories = started.use(await createRepositories());
  const hostKey = createSshKey();
  const clientKey = createSshKey();
  const letIn = ssh2.utils.parseKey(clientKey.public) as ParsedKey;
  const requests: SshRequest[] = [];
  const children = new Set<ChildProcess>();
  const sockets = new Set<Socket>();
  const hooks = { onRequest: (_request: SshRequest): Promise<void> => Promise.resolve() };
  let failure: "none" | "hang" = "none";
  let offered = 0;

  const serve = async (channel: ServerChannel, command: string, protocol: string | undefined): Promise<void> => {
    const asked = /^git-(upload|receive)-pack '\/([\w-]+)\.git'$/.exec(command);
    if (asked === null) return refuse(channel, `only repositories are served here, not ${command}\n`);
    const [, service, repository] = asked as unknown as [string, "upload" | "receive", string];
    const request: SshRequest = { repository, service: service === "upload" ? "fetch" : "push" };
    requests.push(request);
    channel.on("error", () => undefined);
    await hooks.onRequest(request);
    if (!channel.writable) return;
    const child = spawn("git", [`${service}-pack`, `${repositories.root}/${repository}.git`], {
      env: { PATH: process.env["PATH"], GIT_PROTOCOL: protocol },
    });
    children.add(child);
    channel.pipe(child.stdin);
    // A client that is gone, and a git that did not read to the end, are both said by what ends next.
    child.stdin.on("error", () => undefined);
    child.stdout.pipe(channel, { end: false });
    child.stderr.pipe(channel.stderr, { end: false });
    channel.once("close", () => child.kill("SIGKILL"));
    child.once("close", (code) => {
      children.delete(child);
      channel.exit(code ?? 1);
      channel.end();
    });
  };
  const speak = (client: Connection): void => {
    client.on("error", () => undefined);
    client.on("authentication", (attempt) => {
      if (attempt.method === "publickey") offered += 1;
      if (isLetIn(attempt, letIn)) return attempt.accept();
      attempt.reject(["publickey"]);
    });
    client.on("session", (accept) => {
      const session = accept();
      let protocol: string | undefined;
      // What git asks for the second version of its protocol with.
      session.on("env", (take: (() => void) | undefined, _refuse, { key, val }: { key: string; val: string }) => {
        if (key === "GIT_PROTOCOL") protocol = val;
        take?.();
      });
      session.on("exec", (take, _refuse, { command }) => void serve(take(), command, protocol));
    });
  };
  const ssh = new ssh2.Server({ hostKeys: [hostKey.private] }, speak);
  const listening = createServer((socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    socket.on("error", () => undefined);
    if (failure === "none") ssh.injectSocket(socket);
  }).listen(0, "127.0.0.1");
  await once(listening, "listening");
  const { port } = listening.address() as AddressInfo;
  started.defer(async () => {
    const ended = [...children].map((child) => once(child, "close"));
    for (const child of children) child.kill("SIGKILL");
    for (const socket of sockets) socket.destroy();
    await Promise.all([...ended, once(listening.close(), "close")]);
  });

  const all = started.move();
  return Object.assign(hooks, {
    git: repositories.git,
    commit: repositories.commit,
    protect: repositories.protect,
    port,
    knownHost: `[127.0.0.1]:${port} ${hostKey.public}`,
    clientKey: clientKey.private,
    async createRepository(name: string) {
      await repositories.create(name);
      return `ssh://git@127.0.0.1:${port}/${name}.git`;
    },
    requests: () => requests,
    offered: () => offered,
    failWith: (next: typeof failure) => void (failure = next),
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  });
}

/** A client asks first whether a key would do, then signs with it. */
function isLetIn(attempt: AuthContext, letIn: ParsedKey): boolean {
  if (attempt.method !== "publickey" || !attempt.key.data.equals(letIn.getPublicSSH())) return false;
  if (attempt.signature === undefined) return true;
  // An Error where its types promise a boolean.
  const verified: unknown = letIn.verify(attempt.blob!, attempt.signature, attempt.hashAlgo);
  return verified === true;
}

function refuse(channel: ServerChannel, because: string): void {
  channel.stderr.write(because);
  channel.exit(1);
  channel.end();
}
