import {
  context,
  propagation,
  SpanStatusCode,
  trace,
  type Attributes,
  type Context,
  type Link,
  type Tracer,
} from "@opentelemetry/api";

/** Soon enough to follow a revision as it moves, seldom enough to cost nothing. */
const flushMs = 500;

/** W3C traceparent: "00-<32 hex>-<16 hex>-<2 hex>"; empty when there is none. */
export type Traceparent = string;

/** Spans of one process. Without an endpoint nothing is recorded and nothing of the SDK is loaded. */
export type Telemetry = AsyncDisposable & {
  /** Runs `work` in a span, child of the running one or of `parent`; an error ends it as failed, by its name only. */
  traced<T>(
    name: string,
    options: { attributes?: Attributes; parent?: Traceparent; links?: readonly Traceparent[] },
    work: (own: { traceparent: Traceparent; set: (attributes: Attributes) => void }) => Promise<T>,
  ): Promise<T>;
  /** A span of something that began at `fromMs` (epoch milliseconds) and ends now. Gives its own traceparent. */
  passed(name: string, options: { attributes?: Attributes; parent: Traceparent; fromMs: number }): Traceparent;
};

/** `endpoint`: OTLP over HTTP, without the path ("http://127.0.0.1:4318"). */
export async function openTelemetry(service: string, endpoint: string | undefined): Promise<Telemetry> {
  if (endpoint === undefined || endpoint === "") return noTelemetry;
  const sdk = await startSdk(service, endpoint);
  const { tracer } = sdk;
  return {
    traced(name, { attributes = {}, parent, links = [] }, work) {
      const from = parent === undefined || parent === "" ? context.active() : contextOf(parent);
      return tracer.startActiveSpan(name, { attributes, links: links.flatMap(linkOf) }, from, async (span) => {
        try {
          return await work({ traceparent: activeTraceparent(), set: (more) => void span.setAttributes(more) });
        } catch (error) {
          // The name alone: a message can quote an object.
          span.setStatus({ code: SpanStatusCode.ERROR, message: error instanceof Error ? error.name : "error" });
          throw error;
        } finally {
          span.end();
        }
      });
    },
    passed(name, { attributes = {}, parent, fromMs }) {
      const from = contextOf(parent);
      const span = tracer.startSpan(name, { attributes, startTime: new Date(fromMs) }, from);
      span.end();
      return traceparentIn(trace.setSpan(from, span));
    },
    [Symbol.asyncDispose]: () => sdk.end(),
  };
}

/** Without an SDK a span of the API does nothing, and costs as much as what it is about. */
const noTelemetry: Telemetry = {
  traced: async (_name, _options, work) => work({ traceparent: "", set: () => undefined }),
  passed: () => "",
  [Symbol.asyncDispose]: async () => undefined,
};

/** The traceparent of the span that runs now. */
export const activeTraceparent = (): Traceparent => traceparentIn(context.active());

function traceparentIn(within: Context): Traceparent {
  const carrier: { traceparent?: string } = {};
  propagation.inject(within, carrier);
  return carrier.traceparent ?? "";
}

const contextOf = (traceparent: Traceparent): Context => propagation.extract(context.active(), { traceparent });

function linkOf(traceparent: Traceparent): Link[] {
  const span = trace.getSpanContext(contextOf(traceparent));
  return span === undefined ? [] : [{ context: span }];
}

// Loaded only with an endpoint: the SDK costs memory that a quiet agent promised not to use.
async function startSdk(service: string, endpoint: string): Promise<{ tracer: Tracer; end(): Promise<void> }> {
  const [sdk, exporter, resources, asyncHooks, core] = await Promise.all([
    import("@opentelemetry/sdk-trace"),
    import("@opentelemetry/exporter-trace-otlp-proto"),
    import("@opentelemetry/resources"),
    import("@opentelemetry/context-async-hooks"),
    import("@opentelemetry/core"),
  ]);
  const manager = new asyncHooks.AsyncLocalStorageContextManager().enable();
  context.setGlobalContextManager(manager);
  propagation.setGlobalPropagator(new core.W3CTraceContextPropagator());
  const processor = new sdk.BatchSpanProcessor({
    exporter: new exporter.OTLPTraceExporter({ url: `${endpoint.replace(/\/$/, "")}/v1/traces` }),
    scheduledDelayMillis: flushMs,
    // With the collector away a flush took 7 s; a process that ends must not wait for it.
    exportTimeoutMillis: 2_000,
  });
  const provider = new sdk.TracerProvider({
    resource: resources.resourceFromAttributes({ "service.name": service }),
    spanProcessors: [processor],
  });
  return { tracer: provider.getTracer("plumbline"), end: () => provider.shutdown() };
}
