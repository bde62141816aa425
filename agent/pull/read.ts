import { Empty, type Msg } from "@nats-io/transport-node";
import { orAbort } from "#agent/pull/abort.ts";
import type { Link } from "#agent/pull/link.ts";
import type { Clock } from "#lib/clock.ts";

// Doubling: a replica that hangs costs half a second, and a slow line still carries half a mebibyte in the end.
const firstTimeoutMs = 500;
const tries = 5;
const pauseMs = 100;

/** The broker has no such message. */
export const missing = Symbol("missing");

/** The broker did not answer a read. What the cluster runs stays. */
export class PullUnavailable extends Error {
  override readonly name = "PullUnavailable";
}

/**
 * One Direct Get through the hub's service import. `missing` only after several tries, since a replica that is behind
 * says so too; `pause` waits between them. Waits for a connection for as long as there is none. Throws PullUnavailable, or
 * the signal's reason.
 */
export async function read(
  link: Link,
  clock: Pick<Clock, "sleep">,
  subject: string,
  signal: AbortSignal,
  pause = (ms: number): Promise<void> => clock.sleep(ms, { signal }),
): Promise<Msg | typeof missing> {
  let last: unknown = missing;
  for (let attempt = 0; attempt < tries; attempt++) {
    const nats = await link.connection(signal);
    try {
      const answer = await orAbort(nats.request(subject, Empty, { timeout: firstTimeoutMs * 2 ** attempt }), signal);
      const code = answer.headers?.code ?? 0;
      if (code === 0) return answer;
      last = code === 404 ? missing : new Error(`${code} ${answer.headers?.description ?? ""}`);
    } catch (error) {
      signal.throwIfAborted();
      last = error;
    }
    if (attempt < tries - 1) await pause(pauseMs * (attempt + 1));
  }
  if (last === missing) return missing;
  throw new PullUnavailable(`broker did not answer ${subject}`, { cause: last });
}
