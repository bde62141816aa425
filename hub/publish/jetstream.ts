import { errors, headers, type Msg, type MsgHdrs } from "@nats-io/transport-node";
import type { HubConnection } from "#hub/publish/held-connection.ts";
import type { Clock } from "#lib/clock.ts";
import { backoffMs } from "#lib/retry.ts";

// Short, because after a leader's death the next one answers long before a long wait is over.
const timeoutMs = 2_000;
const tries = 6;
const backoff = { firstMs: 100, capMs: 2_000 };

/** Codes of nats-server/server/errors.json that mean something to us. */
export const errorCode = { messageNotFound: 10037, streamNotFound: 10059, wrongLastSequence: 10071 } as const;

/** The broker understood and refused. */
export class JetStreamError extends Error {
  override readonly name = "JetStreamError";
  readonly errorCode: number;

  constructor(subject: string, error: ApiError) {
    super(`broker: ${subject} refused: ${error.description} (${error.err_code})`);
    this.errorCode = error.err_code;
  }
}

/** The broker did not answer, or cannot now. What was sent may or may not have been stored. */
export class BrokerUnavailable extends Error {
  override readonly name = "BrokerUnavailable";
}

type ApiError = { readonly code: number; readonly err_code: number; readonly description: string };

/** One request of the JetStream API. Throws JetStreamError or BrokerUnavailable. */
export async function ask<Answer>(nats: HubConnection, what: string, body: object = {}): Promise<Answer> {
  const subject = `$JS.API.${what}`;
  return answerOf<Answer>(subject, await request(nats, subject, Buffer.from(JSON.stringify(body))));
}

/** Stores one message and gives its sequence. */
export async function store(
  nats: HubConnection,
  subject: string,
  bytes: Uint8Array,
  fields: Readonly<Record<string, string>> = {},
): Promise<number> {
  const answer = await request(nats, subject, bytes, headersOf(fields));
  return answerOf<{ seq: number }>(subject, answer).seq;
}

export async function request(nats: HubConnection, subject: string, bytes: Uint8Array, fields?: MsgHdrs): Promise<Msg> {
  try {
    return await nats.request(subject, bytes, {
      timeout: timeoutMs,
      ...(fields === undefined ? {} : { headers: fields }),
    });
  } catch (cause) {
    if (cause instanceof errors.PermissionViolationError) throw cause;
    throw new BrokerUnavailable(`broker did not answer ${subject}`, { cause });
  }
}

export function answerOf<Answer>(subject: string, message: Msg): Answer {
  const answer = message.json<Answer & { error?: ApiError }>();
  if (answer.error === undefined) return answer;
  // 503: no leader yet; 429: too much at once.
  if (answer.error.code === 503 || answer.error.code === 429)
    throw new BrokerUnavailable(`broker cannot answer ${subject} now: ${answer.error.description}`);
  throw new JetStreamError(subject, answer.error);
}

/** Tries again while the broker is unavailable; only for what may be done twice. */
export async function persist<Value>(clock: Pick<Clock, "sleep">, work: () => Promise<Value>): Promise<Value> {
  for (let attempt = 1; ; attempt++)
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof BrokerUnavailable) || attempt === tries) throw error;
      await clock.sleep(backoffMs(backoff, attempt));
    }
}

export const isRefusal = (error: unknown, code: number): boolean =>
  error instanceof JetStreamError && error.errorCode === code;

export function headersOf(fields: Readonly<Record<string, string>>): MsgHdrs {
  const all = headers();
  for (const [name, value] of Object.entries(fields)) all.set(name, value);
  return all;
}
