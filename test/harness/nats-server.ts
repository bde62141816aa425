import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { natsIdentity, type NatsIdentity } from "#hub/identity/nats-jwt.ts";
import { createNatsKeys } from "#hub/identity/nats-keys.ts";
import { startNatsChild, type NatsChild } from "#hub/publish/nats-child.ts";
import { freePorts } from "#test/harness/free-port.ts";
import { serverPath } from "#test/harness/servers.ts";

/** A real nats-server with keys and a store of its own. */
export type NatsServer = AsyncDisposable & {
  readonly url: string;
  readonly identity: NatsIdentity;
  readonly directory: string;
  /** The process of now; another one after `start`. */
  child(): NatsChild;
  stop(): Promise<void>;
  /** Starts it again at the same address, with what it stored. */
  start(): Promise<void>;
};

export async function startNatsServer(tls?: {
  readonly certificatePem: string;
  readonly keyPem: string;
}): Promise<NatsServer> {
  const directory = await mkdtemp(join(tmpdir(), "plumbline-nats-"));
  const identity = natsIdentity(createNatsKeys());
  const [port] = (await freePorts(1)) as [number];
  const startChild = (): Promise<NatsChild> =>
    startNatsChild({
      binary: serverPath("nats-server"),
      directory,
      identity,
      listen: { host: "127.0.0.1", port },
      tls,
    });
  let child = await startChild();
  return {
    url: child.url,
    identity,
    directory,
    child: () => child,
    stop: async () => {
      await child[Symbol.asyncDispose]();
    },
    start: async () => {
      child = await startChild();
    },
    async [Symbol.asyncDispose]() {
      await child[Symbol.asyncDispose]();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
