import { connect, errors, jwtAuthenticator, type NatsConnection } from "@nats-io/transport-node";
import type { NatsUser } from "#hub/identity/nats-jwt.ts";
import { heldConnection, type HubConnection } from "#hub/publish/held-connection.ts";
import { requireNatsVersion } from "#hub/publish/nats-version.ts";
import { tlsOf } from "#lib/nats-tls.ts";
import type { Clock } from "#lib/clock.ts";
import { backoffMs } from "#lib/retry.ts";

export type NatsTarget = {
  /** `nats://` or `tls://`; several name the servers of one cluster. */
  readonly urls: readonly string[];
  /** PEM; given, the connection is never made without TLS. */
  readonly ca?: string | undefined;
  readonly user: NatsUser;
  readonly clock: Pick<Clock, "sleep">;
  /** Told of each try that failed while the first connection is waited for. */
  readonly failed?: ((error: unknown) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
};

const backoff = { firstMs: 100, capMs: 5_000 };

/**
 * Waits until a server answers, then reconnects for ever. Throws when the server refuses who we are, or is too old:
 * waiting mends neither.
 */
export async function connectNats(target: NatsTarget): Promise<HubConnection> {
  const { urls, ca, user, clock, failed, signal } = target;
  for (let attempt = 1; ; attempt++) {
    signal?.throwIfAborted();
    try {
      return heldConnection(await openConnection(urls, ca, user));
    } catch (error) {
      if (!isPassing(error)) throw error;
      failed?.(error);
    }
    await clock.sleep(backoffMs(backoff, attempt), { signal });
  }
}

async function openConnection(
  urls: readonly string[],
  ca: string | undefined,
  user: NatsUser,
): Promise<NatsConnection> {
  const connection = await connect({
    servers: [...urls],
    authenticator: jwtAuthenticator(user.jwt, Buffer.from(user.seed)),
    name: "plumbline-hub",
    maxReconnectAttempts: -1,
    reconnectTimeWait: 250,
    // An external broker may be given its accounts later than it is started.
    ignoreAuthErrorAbort: true,
    timeout: 5_000,
    // Servers are those we were told of, and their certificates must name them.
    ignoreClusterUpdates: true,
    ...tlsOf(ca, urls),
  });
  try {
    requireNatsVersion(connection.info?.version ?? "of unknown version");
    return connection;
  } catch (error) {
    await connection.close();
    throw error;
  }
}

// Refused, reset, unreachable, timed out; by type, since the client wraps what the socket said.
function isPassing(error: unknown): boolean {
  if (error instanceof errors.AuthorizationError || error instanceof errors.InvalidArgumentError) return false;
  if (error instanceof errors.ConnectionError || error instanceof errors.TimeoutError) return true;
  const code = (error as NodeJS.ErrnoException).code ?? "";
  return /^(ECONN|EHOST|ENET|ENOTFOUND|EAI_|ETIMEDOUT|EPIPE)/.test(code);
}
