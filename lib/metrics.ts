import { monitorEventLoopDelay } from "node:perf_hooks";
import type { Meter } from "@opentelemetry/api";

/** Between two pushes to a collector; a scrape comes when it comes. */
const pushMs = 15_000;

/** One set of instruments of a process, read by whoever scrapes and pushed to a collector where there is one. */
export type Metrics = AsyncDisposable & {
  readonly meter: Meter;
  /** In Prometheus' text format. */
  text(): Promise<string>;
};

/** `endpoint`: OTLP over HTTP, without the path; undefined pushes nowhere. */
export async function openMetrics(service: string, endpoint: string | undefined): Promise<Metrics> {
  const [sdk, prometheus, resources] = await Promise.all([
    import("@opentelemetry/sdk-metrics"),
    import("@opentelemetry/exporter-prometheus"),
    import("@opentelemetry/resources"),
  ]);
  const scraped = new prometheus.PrometheusExporter({ preventServerStart: true });
  const serializer = new prometheus.PrometheusSerializer(undefined, false, undefined, true, true);
  const provider = new sdk.MeterProvider({
    resource: resources.resourceFromAttributes({ "service.name": service }),
    readers: [scraped, ...(endpoint === undefined || endpoint === "" ? [] : [await pushing(endpoint)])],
  });
  const meter = provider.getMeter("plumbline");
  const stop = observeProcess(meter);
  return {
    meter,
    async text() {
      const { resourceMetrics } = await scraped.collect();
      return serializer.serialize(resourceMetrics);
    },
    async [Symbol.asyncDispose]() {
      stop();
      await provider.shutdown();
    },
  };
}

async function pushing(endpoint: string) {
  const [sdk, otlp] = await Promise.all([
    import("@opentelemetry/sdk-metrics"),
    import("@opentelemetry/exporter-metrics-otlp-proto"),
  ]);
  const exporter = new otlp.OTLPMetricExporter({ url: `${endpoint.replace(/\/$/, "")}/v1/metrics` });
  return new sdk.PeriodicExportingMetricReader({ exporter, exportIntervalMillis: pushMs, exportTimeoutMillis: 2_000 });
}

/** What every process of ours tells of itself. The event loop's delay is that since it was last read. */
function observeProcess(meter: Meter): () => void {
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();
  const loop = meter.createObservableGauge("plumbline_event_loop_delay", {
    description: "How long work waited for the main thread, since the last time this was read",
    unit: "s",
  });
  loop.addCallback((result) => {
    for (const [quantile, percent] of [
      ["0.5", 50],
      ["0.99", 99],
      ["1", 100],
    ] as const)
      result.observe(delay.percentile(percent) / 1e9, { quantile });
    delay.reset();
  });
  const memory = meter.createObservableGauge("plumbline_resident_memory", {
    description: "Resident memory of the process",
    unit: "By",
  });
  memory.addCallback((result) => result.observe(process.memoryUsage.rss()));
  return () => delay.disable();
}
