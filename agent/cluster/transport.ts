import { Agent, request } from "undici";
import type { Access } from "#agent/cluster/access.ts";
import { ApiError } from "#agent/cluster/errors.ts";
import { parseJson, stringifyJson } from "#proto/json.ts";
import type { Json } from "#proto/object.ts";

/** Kept connections for calls; 4 to 16 in flight measured best, and HTTP/1.1 needs one each. */
const callConnections = 8;
/** An API server answers or fails within its own 60 s; beyond that the connection is dead. */
const answerTimeoutMs = 75_000;

export type Call = {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly contentType?: string;
  readonly accept?: string;
  readonly signal?: AbortSignal | undefined;
};

/** HTTP to one API server: calls share a few kept connections, each stream has its own. */
export type Transport = AsyncDisposable & {
  /** The parsed answer. Throws ApiError for everything but 2xx. */
  call(call: Call): Promise<Json>;
  /** The raw body of an answer that does not end by itself. */
  stream(call: Call): Promise<AsyncIterable<Uint8Array>>;
};

export function openTransport(access: Access): Transport {
  const tls = {
    ...(access.ca === undefined ? {} : { ca: access.ca }),
    ...(access.clientCertificate === undefined
      ? {}
      : { cert: access.clientCertificate.certificate, key: access.clientCertificate.key }),
  };
  const calls = new Agent({ connect: tls, connections: callConnections, headersTimeout: answerTimeoutMs });
  const streams = new Agent({ connect: tls, bodyTimeout: 0, headersTimeout: answerTimeoutMs });

  const send = async (call: Call, dispatcher: Agent): ReturnType<typeof request> => {
    const query = call.query === undefined ? "" : `?${new URLSearchParams(call.query).toString()}`;
    const answer = await request(`${access.server}${call.path}${query}`, {
      dispatcher,
      method: call.method,
      signal: call.signal ?? null,
      body: call.body === undefined ? null : stringifyJson(call.body),
      headers: {
        accept: call.accept ?? "application/json",
        "user-agent": "plumbline-agent",
        ...(call.body === undefined ? {} : { "content-type": call.contentType ?? "application/json" }),
        ...(await access.headers()),
      },
    });
    if (answer.statusCode < 300) return answer;
    throw new ApiError(answer.statusCode, readable(await answer.body.text()), headerOf(answer.headers["retry-after"]));
  };
  return {
    call: async (call) => parseJson(await (await send(call, calls)).body.text()),
    stream: async (call) => (await send(call, streams)).body,
    async [Symbol.asyncDispose]() {
      await Promise.all([calls.destroy(), streams.destroy()]);
    },
  };
}

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
