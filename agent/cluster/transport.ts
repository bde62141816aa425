import { Agent, ProxyAgent, request, type Dispatcher } from "undici";
import type { Access, Credentials } from "#agent/cluster/access.ts";
import { ApiError } from "#agent/cluster/errors.ts";
import { systemClock, type Clock } from "#lib/clock.ts";
import { parseJson, stringifyJson } from "#proto/json.ts";
import type { Json } from "#proto/object.ts";

/** Kept connections for calls; 4 to 16 in flight measured best, and HTTP/1.1 needs one each. */
const callConnections = 8;
/** An API server answers or fails within its own 60 s; beyond that the connection is dead. */
const answerTimeoutMs = 75_000;
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

/** HTTP to one API server: calls share a few kept connections, each stream has its own. */
export type Transport = AsyncDisposable & {
  /** The parsed answer. Throws ApiError for everything but 2xx. */
  call(call: Call): Promise<Json>;
  /** The raw body of an answer that does not end by itself. */
  stream(call: Call): Promise<AsyncIterable<Uint8Array>>;
};

type Connections = { readonly of: string; readonly calls: Dispatcher; readonly streams: Dispatcher };
type Answer = Dispatcher.ResponseData;

export function openTransport(access: Access, options: { clock?: Clock } = {}): Transport {
  const clock = options.clock ?? systemClock;
  const retired = new Set<Connections>();
  let current: Connections | undefined;

  /** Connections under the certificates of now. What runs on older ones goes on to its end. */
  const connectionsFor = (credentials: Credentials): Connections => {
    const of = tlsText(credentials);
    if (current?.of === of) return current;
    if (current !== undefined) retire(current);
    current = open(access, credentials);
    return current;
  };
  const retire = (old: Connections): void => {
    retired.add(old);
    const forget = (): void => void retired.delete(old);
    Promise.all([old.calls.close(), old.streams.close()]).then(forget, forget);
  };

  const once = async (call: Call, kind: "calls" | "streams", credentials: Credentials): Promise<Answer> => {
    const query = call.query === undefined ? "" : `?${new URLSearchParams(call.query).toString()}`;
    return request(`${access.server}${call.path}${query}`, {
      dispatcher: connectionsFor(credentials)[kind],
      method: call.method,
      signal: call.signal ?? null,
      body: call.body === undefined ? null : stringifyJson(call.body),
      headers: {
        accept: call.accept ?? "application/json",
        "user-agent": "plumbline-agent",
        ...(call.body === undefined ? {} : { "content-type": call.contentType ?? "application/json" }),
        ...(call.asUser === undefined ? {} : { "impersonate-user": call.asUser }),
        ...credentials.headers,
      },
    });
  };

  const send = async (call: Call, kind: "calls" | "streams"): Promise<Answer> => {
    let credentials = await access.credentials();
    let isFresh = false;
    for (let attempt = 1; ; attempt += 1) {
      const answer = await once(call, kind, credentials);
      if (answer.statusCode < 300) return answer;
      const retryAfter = headerOf(answer.headers["retry-after"]);
      const refusal = new ApiError(answer.statusCode, readable(await answer.body.text()), retryAfter);
      if (answer.statusCode === 401 && !isFresh) {
        // The token ended early, or another was written meanwhile.
        isFresh = true;
        const before = credentials;
        credentials = await access.credentials(true);
        if (!isSame(before, credentials)) continue;
      }
      if (answer.statusCode !== 429 || attempt === turnedAwayTries) throw refusal;
      await clock.sleep(waitOf(refusal.retryAfterMs ?? 1_000), { signal: call.signal });
    }
  };
  return {
    call: async (call) => parseJson(await (await send(call, "calls")).body.text()),
    stream: async (call) => (await send(call, "streams")).body,
    async [Symbol.asyncDispose]() {
      const all = [...retired, ...(current === undefined ? [] : [current])];
      await Promise.all(all.flatMap(({ calls, streams }) => [calls.destroy(), streams.destroy()]));
    },
  };
}

/** The same server, asked in another user's name. Closing it closes nothing. */
export const inNameOf = (transport: Transport, user: string): Transport => ({
  call: (call) => transport.call({ ...call, asUser: user }),
  stream: (call) => transport.stream({ ...call, asUser: user }),
  [Symbol.asyncDispose]: async () => undefined,
});

function open({ proxy }: Access, credentials: Credentials): Connections {
  const { ca, clientCertificate, serverName } = credentials;
  const tls = {
    ...(ca === undefined ? {} : { ca }),
    ...(clientCertificate === undefined ? {} : { cert: clientCertificate.certificate, key: clientCertificate.key }),
    ...(serverName === undefined ? {} : { servername: serverName }),
  };
  const calls = { connections: callConnections, headersTimeout: answerTimeoutMs };
  const streams = { bodyTimeout: 0, headersTimeout: answerTimeoutMs };
  const connect = (rest: Agent.Options): Dispatcher =>
    proxy === undefined
      ? new Agent({ ...rest, connect: tls })
      : new ProxyAgent({ ...rest, uri: proxy, requestTls: tls });
  return { of: tlsText(credentials), calls: connect(calls), streams: connect(streams) };
}

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

const headerOf = (value: string | string[] | undefined): string | undefined =>
  Array.isArray(value) ? value[0] : value;
