import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";

export type Span = {
  readonly service: string;
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId: string;
  readonly attributes: Readonly<Record<string, string>>;
};

/** Takes OTLP over HTTP in protobuf, and keeps every span; `raw` is all bytes that came, for a search of secrets. */
export type OtlpReceiver = AsyncDisposable & {
  readonly endpoint: string;
  spans(): readonly Span[];
  raw(): Buffer;
};

export async function startOtlpReceiver(): Promise<OtlpReceiver> {
  const spans: Span[] = [];
  const bodies: Buffer[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const body = Buffer.concat(chunks);
      bodies.push(body);
      spans.push(...readExport(body));
      response.writeHead(200, { "content-type": "application/x-protobuf" }).end();
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans: () => spans,
    raw: () => Buffer.concat(bodies),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await once(server.close(), "close");
    },
  };
}

// ExportTraceServiceRequest of opentelemetry-proto 1.x, as far as the fields that tests look at.
function readExport(bytes: Uint8Array): Span[] {
  return messages(bytes, 1).flatMap((resourceSpans) => {
    const [resource] = messages(resourceSpans, 1);
    const service = resource === undefined ? "" : (attributesOf(resource, 1)["service.name"] ?? "");
    return messages(resourceSpans, 2).flatMap((scopeSpans) =>
      messages(scopeSpans, 2).map((span) => spanOf(span, service)),
    );
  });
}

function spanOf(bytes: Uint8Array, service: string): Span {
  const hex = (field: number): string => Buffer.from(messages(bytes, field)[0] ?? []).toString("hex");
  const name = Buffer.from(messages(bytes, 5)[0] ?? []).toString("utf8");
  return { service, name, traceId: hex(1), spanId: hex(2), parentId: hex(4), attributes: attributesOf(bytes, 9) };
}

function attributesOf(bytes: Uint8Array, field: number): Record<string, string> {
  const pairs = messages(bytes, field).map((pair) => {
    const key = Buffer.from(messages(pair, 1)[0] ?? []).toString("utf8");
    const value = Buffer.from(messages(messages(pair, 2)[0] ?? new Uint8Array(), 1)[0] ?? []).toString("utf8");
    return [key, value] as const;
  });
  return Object.fromEntries(pairs);
}

/** Every length-delimited value of one field. */
function messages(bytes: Uint8Array, field: number): Uint8Array[] {
  const reader = new BinaryReader(bytes);
  const found: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    if (number === field && type === WireType.LengthDelimited) found.push(reader.bytes());
    else reader.skip(type);
  }
  return found;
}
