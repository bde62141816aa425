import { connect, type Msg, type NatsConnection } from "@nats-io/transport-node";
import { orAbort } from "#agent/pull/abort.ts";
import { jwtAuthenticator } from "#agent/pull/authenticator.ts";
import { tlsOf } from "#lib/nats-tls.ts";
import type { Clock } from "#lib/clock.ts";
import { backoffMs } from "#lib/retry.ts";
import type { ClusterId } from "#proto/ids.ts";
import { subjects } from "#proto/subjects.ts";

/** The agent's own nkey and what the hub last signed for it. */
export type NatsCredentials = { readonly jwt: string; readonly seed: string };

export type LinkOptions = {
  readonly urls: readonly string[];
  readonly cluster: ClusterId;
  /** Asked at every connection, since a JWT is short-lived. May wait for the hub, and may reject. */
  readonly credentials: (signal: AbortSignal) => Promise<NatsCredentials>;
  /** PEM; given, the connection is never made without TLS. */
  readonly ca?: string | undefined;
  readonly clock: Pick<Clock, "sleep">;
};

export type LinkEvents = {
  /** A connection is there: what was missed before is not told again. */
  connected(): void;
  /** The cluster's document was stored; `sequence` is its place on the broker. */
  notified(sequence: number): void;
  /** No connection, and why; the next try follows by itself. */
  failed(error: unknown): void;
};

const backoff = { firstMs: 200, capMs: 30_000 };
/** A connection that lasted this long was a good one: the next one is tried at once. */
const goodMs = 10_000;

/**
 * Holds one connection after the other until `signal` aborts. The client's own reconnecting is not used: it takes the
 * credentials that it was given first.
 */
export class Link {
  readonly #options: LinkOptions;
  readonly #events: LinkEvents;
  #connection = Promise.withResolvers<NatsConnection>();
  #hurry = new AbortController();

  constructor(options: LinkOptions, events: LinkEvents) {
    this.#options = options;
    this.#events = events;
  }

  /** The connection of now, or the next one. Rejects with the signal's reason. */
  connection(signal: AbortSignal): Promise<NatsConnection> {
    return orAbort(this.#connection.promise, signal);
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    for (let attempt = 1; !signal.aborted; attempt++) {
      const startedMs = performance.now();
      try {
        await this.#once(signal);
      } catch (error) {
        if (!signal.aborted) this.#events.failed(error);
      }
      if (performance.now() - startedMs > goodMs) attempt = 1;
      // Also after a good connection: every agent of the fleet lost the same broker at the same moment.
      this.#hurry = new AbortController();
      const either = AbortSignal.any([signal, this.#hurry.signal]);
      await clock.sleep(backoffMs(backoff, attempt), { signal: either }).catch(() => undefined);
    }
  }

  /** Somebody knows that the broker is there again: a wait for the next try ends now. */
  hurry(): void {
    this.#hurry.abort();
  }

  async #once(signal: AbortSignal): Promise<void> {
    const nats = await this.#open(signal);
    try {
      nats.subscribe(subjects.notify(this.#options.cluster), {
        callback: (error, message) => {
          if (error === null && this.#isOurs(message)) this.#events.notified(sequenceOf(message));
        },
      });
      // Once the server has the subscription, a read misses nothing that it does not tell.
      await orAbort(nats.flush(), signal);
      this.#connection.resolve(nats);
      try {
        this.#events.connected();
        const error = await orAbort(nats.closed(), signal);
        if (error instanceof Error) throw error;
      } finally {
        this.#connection = Promise.withResolvers();
      }
    } finally {
      await nats.close();
    }
  }

  // Another agent can have a read of its own answered here; what is stored under our subject it cannot read.
  #isOurs({ headers }: Msg): boolean {
    return headers?.get("Nats-Subject") === subjects.desired(this.#options.cluster);
  }

  async #open(signal: AbortSignal): Promise<NatsConnection> {
    const { urls, cluster, ca, credentials } = this.#options;
    const { jwt, seed } = await orAbort(credentials(signal), signal);
    const opening = connect({
      servers: [...urls],
      authenticator: jwtAuthenticator(jwt, seed),
      inboxPrefix: subjects.inbox(cluster),
      name: `plumbline-agent ${cluster}`,
      reconnect: false,
      ignoreClusterUpdates: true,
      timeout: 10_000,
      // A dead connection is found within a minute; a quiet one costs four small messages in it.
      pingInterval: 30_000,
      maxPingOut: 1,
      ...tlsOf(ca, urls),
    });
    try {
      return await orAbort(opening, signal);
    } catch (error) {
      // Nobody waits for it any more; should it open after all, it is closed.
      void opening.then(
        (nats) => nats.close(),
        () => undefined,
      );
      throw error;
    }
  }
}

/** Where a message stands on the broker. */
export const sequenceOf = ({ headers }: Msg): number => Number(headers?.get("Nats-Sequence"));
