import type { IncomingMessage } from "node:http";
import type { Access, Credentials } from "#agent/cluster/access.ts";
import { openConnections, type Connections, type Purpose } from "#agent/cluster/connections.ts";
import { ApiError } from "#agent/cluster/errors.ts";
import { systemClock, type Clock } from "#lib/clock.ts";
import { parseJson, stringifyJson } from "#proto/json.ts";
import type { Json } from "#proto/object.ts";

/** A request that priority and fairness turned away was not begun: it is sent again, this often at the most. */
const turnedAwayTries = 6;
/** What a server may ask us to wait; longer than that the caller decides. */
const longestWaitMs = 15_000;

export type Call = {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly contentType?: string;
  readonly accept?: string;
  readonly signal?: AbortSignal | undefined;
  /** Done in this user's name and with this user's rights alone. */
  readonly asUser?: string;
};

/** HTTP to one API server, under the credentials of now. */
export type Transport = AsyncDisposable & {
  /** The parsed answer. Throws ApiError for everything but 2xx. */
  call(call: Call): Promise<Json>;
  /** The raw body of an answer that does not end by itself. Of one that was aborted Node says that it was, and no more. */
  stream(call: Call): Promise<AsyncIterable<Uint8Array>>;
};

export type TransportOptions = {
  readonly clock?: Clock;
  /** Another time-out of answers than that of API servers. */
  readonly answerMs?: number;
  /** Told of each request that priority and fairness turned away, and how long it waits to be sent again. */
  readonly turnedAway?: (waitMs: number) => void;
};

export function openTransport(access: Access, options: TransportOptions = {}): Transport {
  const clock = options.clock ?? systemClock;
  const retired = new Set<Connections>();
  let current: { readonly of: string; readonly connections: Connections } | undefined;

  /** Connections under the certificates of now. What runs on older ones goes on to its end. */
  const connectionsFor = (credentials: Credentials): Connections => {
    const of = tlsText(credentials);
    if (current?.of === of) return current.connections;
    if (current !== undefined) retire(current.connections);
    current = { of, connections: openConnections(access, credentials, options.answerMs) };
    return current.connections;
  };
  const retire = (old: Connections): void => {
    retired.add(old);
    const forget = (): void => void retired.delete(old);
    old.retire().then(forget, forget);
  };

  const once = (call: Call, purpose: Purpose, credentials: Credentials): Promise<IncomingMessage> => {
    const query = call.query === undefined ? "" : `?${queryOf(call.query)}`;
    return connectionsFor(credentials).send(purpose, {
      path: `${call.path}${query}`,
      method: call.method,
      signal: call.signal,
      body: call.body === undefined ? undefined : stringifyJson(call.body),
      headers: {
        accept: call.accept ?? "application/json",
        "user-agent": "plumbline-agent",
        ...(call.body === undefined ? {} : { "content-type": call.contentType ?? "application/json" }),
        ...credentials.headers,
        // Last: a kubeconfig that acts as somebody must not put its rights in the place of the one who is meant.
        ...(call.asUser === undefined ? {} : { "impersonate-user": call.asUser }),
      },
    });
  };

  const send = async (call: Call, purpose: Purpose): Promise<IncomingMessage> => {
    let credentials = await access.credentials();
    let isFresh = false;
    for (let attempt = 1; ; attempt += 1) {
      const answer = await once(call, purpose, credentials);
      const status = answer.statusCode ?? 0;
      if (status >= 200 && status < 300) return answer;
      const refusal = new ApiError(status, readable(await textOf(answer, call.signal)), answer.headers["retry-after"]);
      if (status === 401 && !isFresh) {
        // The token ended early, or another was written meanwhile.
        isFresh = true;
        const before = credentials;
        credentials = await access.credentials(true);
        if (!isSame(before, credentials)) continue;
      }
      if (status !== 429 || attempt === turnedAwayTries) throw refusal;
      const waitMs = waitOf(refusal.retryAfterMs ?? 1_000);
      options.turnedAway?.(waitMs);
      await clock.sleep(waitMs, { signal: call.signal });
    }
  };
  return {
    call: async (call) => parseJson(await textOf(await send(call, "calls"), call.signal)),
    stream: (call) => send(call, "streams"),
    async [Symbol.asyncDispose]() {
      const all = [...retired, ...(current === undefined ? [] : [current.connections])];
      await Promise.all(all.map((connections) => connections.destroy()));
    },
  };
}

/** The same server, asked in another user's name. Closing it closes nothing. */
export const inNameOf = (transport: Transport, user: string): Transport => ({
  call: (call) => transport.call({ ...call, asUser: user }),
  stream: (call) => transport.stream({ ...call, asUser: user }),
  [Symbol.asyncDispose]: async () => undefined,
});

const tlsText = ({ ca, clientCertificate, serverName }: Credentials): string =>
  [ca, clientCertificate?.certificate, clientCertificate?.key, serverName].join("\n");
const isSame = (a: Credentials, b: Credentials): boolean =>
  tlsText(a) === tlsText(b) && JSON.stringify(a.headers) === JSON.stringify(b.headers);

/** As long as the server says, and up to half as long again, so that all it turned away do not come back at once. */
const waitOf = (ms: number): number => Math.min(longestWaitMs, ms) * (1 + Math.random() / 2);

// A proxy or a dying server can answer with text; that is still a refusal with a status.
function readable(text: string): Json {
  try {
    return parseJson(text);
  } catch {
    return { message: text.slice(0, 200) };
  }
}

const queryOf = (query: Readonly<Record<string, string>>): string =>
  Object.entries(query)
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
    .join("&");

/** By its iterator: read by its events, the bodies of an apply leave malloc a kilobyte an object that it never gives back. */
async function textOf(answer: IncomingMessage, signal: AbortSignal | undefined): Promise<string> {
  const chunks: Uint8Array[] = [];
  try {
    for await (const chunk of answer) chunks.push(chunk as Buffer);
  } catch (error) {
    // The signal's own reason: Node says of every aborted body that it was aborted, and no more.
    signal?.throwIfAborted();
    throw error;
  }
  const [first] = chunks;
  const whole = first !== undefined && chunks.length === 1 ? (first as Buffer) : Buffer.concat(chunks);
  return whole.toString("utf8");
}
