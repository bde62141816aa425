import { startNatsChild, type NatsChild, type NatsChildOptions } from "#hub/publish/nats-child.ts";
import type { Clock } from "#lib/clock.ts";
import { reasonOf, type Log } from "#lib/log.ts";
import { backoffMs } from "#lib/retry.ts";

const retries = { firstMs: 200, capMs: 10_000 };

/** The hub's own broker, started again at the same address whenever it ends before the hub does. */
export type SupervisedNats = AsyncDisposable & { readonly url: string };

export async function superviseNats(
  options: NatsChildOptions,
  { clock, log, signal }: { clock: Clock; log: Log; signal: AbortSignal },
): Promise<SupervisedNats> {
  let child: NatsChild | undefined = await startNatsChild({ ...options, signal });
  const { url, port } = child;
  const stop = new AbortController();
  const watch = async (): Promise<void> => {
    for (let attempt = 1; !stop.signal.aborted;) {
      const how = await child?.exited;
      if (stop.signal.aborted) return;
      log.error({ how: how ?? "not started" }, "nats-server ended; it is started again");
      child = undefined;
      try {
        await clock.sleep(backoffMs(retries, attempt), { signal: stop.signal });
        child = await startNatsChild({ ...options, listen: { ...options.listen, port }, signal: stop.signal });
        attempt = 1;
      } catch (error) {
        if (stop.signal.aborted) return;
        attempt += 1;
        log.error({ because: reasonOf(error) }, "nats-server does not start");
      }
    }
  };
  const watching = watch();
  return {
    url,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await child?.[Symbol.asyncDispose]();
      await watching;
    },
  };
}
