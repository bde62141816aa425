import type { IndexAnswer, IndexQuery } from "#hub/charts/chart-index.ts";
import { ChartUnavailable, type Download } from "#hub/charts/download.ts";
import { fromHelmRepository, type ChartRepository } from "#hub/charts/helm-repository.ts";
import { fromOci } from "#hub/charts/oci.ts";
import { chartKey, type ChartRecord } from "#hub/decide/chart-record.ts";
import type { SealedStore } from "#hub/render/sealed-store.ts";
import { redact } from "#hub/git/address.ts";
import { sha256Hex } from "#proto/json.ts";

/** A chart that somebody published, as an Application names it. */
export type PublishedChart = {
  readonly repository: string;
  readonly name: string;
  readonly version: string;
  /** Its author's own pin, which goes before what the hub recorded. */
  readonly digest: string | null;
};

export type Charts = {
  /** What a chart's archive must be, as far as that is known without asking anybody. */
  pin(chart: PublishedChart): string | undefined;
  /** Its archive, fetched if it is not at hand; what is new is on record before anybody is given it. */
  open(chart: PublishedChart): Promise<{ readonly digest: string; readonly bytes: Uint8Array }>;
};

export type ChartsParts = {
  readonly repository: (name: string) => ChartRepository | undefined;
  readonly recorded: (key: string) => ChartRecord | undefined;
  /** Puts a chart on record, unless it is; gives what stands there then. */
  readonly record: (chart: ChartRecord) => Promise<ChartRecord>;
  /** By the digest's hex. */
  readonly store: SealedStore;
  readonly download: Download;
  readonly find: (query: IndexQuery) => Promise<IndexAnswer>;
};

/** Charts are fetched by the hub itself, never by Helm, and by digest from then on. */
export function createCharts(parts: ChartsParts): Charts {
  const opening = new Map<string, Promise<{ digest: string; bytes: Uint8Array }>>();
  const pin: Charts["pin"] = (chart) => chart.digest ?? parts.recorded(chartKey(chart))?.digest;

  const fetch = (repository: ChartRepository, chart: PublishedChart): Promise<Buffer> =>
    repository.type === "oci"
      ? fromOci(repository, chart, parts.download)
      : fromHelmRepository(repository, chart, parts.download, parts.find);

  const open = async (chart: PublishedChart): Promise<{ digest: string; bytes: Uint8Array }> => {
    const { repository: name, version } = chart;
    const pinned = pin(chart);
    const kept = pinned === undefined ? undefined : await parts.store.get(hexOf(pinned));
    if (pinned !== undefined && kept !== undefined) return { digest: pinned, bytes: kept };
    const repository = parts.repository(name);
    if (repository === undefined) throw new ChartUnavailable(`the Repository ${name} holds no published charts`);
    const bytes = await fetch(repository, chart);
    const digest = `sha256:${sha256Hex(bytes)}`;
    if (pinned !== undefined) refuseChanged(chart, digest, pinned);
    if (chart.digest === null) {
      const url = redact(repository.url);
      const stands = await parts.record({ repository: name, name: chart.name, version, digest, url });
      refuseChanged(chart, digest, stands.digest);
    }
    await parts.store.put(hexOf(digest), bytes);
    return { digest, bytes };
  };

  return {
    pin,
    open(chart) {
      const key = `${chartKey(chart)} ${chart.digest ?? ""}`;
      const running = opening.get(key) ?? open(chart).finally(() => opening.delete(key));
      opening.set(key, running);
      return running;
    },
  };
}

function refuseChanged(
  { repository, name, version, digest: pinned }: PublishedChart,
  found: string,
  expected: string,
): void {
  if (found === expected) return;
  const said = pinned === null ? "the record says" : "spec.source.helm.chart.digest says";
  throw new ChartUnavailable(
    `${name} ${version} of ${repository} is ${found}, and ${said} ${expected}: what is published under a version must not change. Publish a new version, or, if the new content is what you want, write spec.source.helm.chart.digest: ${found}`,
  );
}

const hexOf = (digest: string): string => digest.slice("sha256:".length);
