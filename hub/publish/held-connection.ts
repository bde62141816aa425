import type { NatsConnection } from "@nats-io/transport-node";

/**
 * A connection that comes back by itself. While it is away the client drops what it is given, so a request waits for the
 * connection instead, and one under way fails at once when the connection ends, not when its time is over.
 */
export type HubConnection = Pick<NatsConnection, "request" | "publish" | "subscribe" | "close"> & {
  isConnected(): boolean;
  /** Resolves with a connection; rejects when there is none within `limitMs`. */
  ready(limitMs: number): Promise<void>;
};

const defaultLimitMs = 2_000;

export function heldConnection(nats: NatsConnection): HubConnection {
  let up = Promise.withResolvers<void>();
  let lost = new AbortController();
  up.resolve();
  const watch = async (): Promise<void> => {
    for await (const { type } of nats.status())
      if (type === "disconnect" && !lost.signal.aborted) {
        up = Promise.withResolvers();
        lost.abort(new Error("the connection ended"));
      } else if (type === "reconnect") {
        lost = new AbortController();
        up.resolve();
      }
    lost.abort(new Error("the connection was closed"));
  };
  void watch();

  const ready = (limitMs: number): Promise<void> => {
    const away = Promise.withResolvers<never>();
    const timer = setTimeout(() => away.reject(new Error(`no connection within ${limitMs} ms`)), limitMs);
    return Promise.race([up.promise, away.promise]).finally(() => clearTimeout(timer));
  };
  return {
    isConnected: () => !lost.signal.aborted,
    ready,
    publish: (...message) => nats.publish(...message),
    subscribe: (...wanted) => nats.subscribe(...wanted),
    close: () => nats.close(),
    async request(subject, payload, options) {
      await ready(options?.timeout ?? defaultLimitMs);
      const { signal } = lost;
      const ended = Promise.withResolvers<never>();
      const end = (): void => ended.reject(signal.reason as Error);
      signal.addEventListener("abort", end, { once: true });
      try {
        return await Promise.race([nats.request(subject, payload, options), ended.promise]);
      } finally {
        signal.removeEventListener("abort", end);
      }
    },
  };
}
