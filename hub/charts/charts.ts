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
  readonly open: (chart: PublishedChart) => Promise<Archive>;
  /** The same for somebody who only looks: what is new is neither recorded nor kept. */
  readonly look: (chart: PublishedChart) => Promise<Archive>;
};

export type Archive = { readonly digest: string; readonly bytes: Uint8Array };

/** For people: which chart it is, and which content. */
export const publishedFrom = ({ name, version, repository }: PublishedChart, { digest }: Archive): string =>
  `${name} ${version} of ${repository}, ${digest.slice(0, 19)}`;

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
  const opening = new Map<string, Promise<Archive>>();
  const pin: Charts["pin"] = (chart) => chart.digest ?? parts.recorded(chartKey(chart))?.digest;

  const kept = async (pinned: string | undefined): Promise<Archive | undefined> => {
    const bytes = pinned === undefined ? undefined : await parts.store.get(hexOf(pinned));
    return pinned === undefined || bytes === undefined ? undefined : { digest: pinned, bytes };
  };
  const fetch = async (chart: PublishedChart): Promise<Archive & { readonly url: string }> => {
    const repository = parts.repository(chart.repository);
    if (repository === undefined)
      throw new ChartUnavailable(`the Repository ${chart.repository} holds no published charts`);
    const bytes =
      repository.type === "oci"
        ? await fromOci(repository, chart, parts.download)
        : await fromHelmRepository(repository, chart, parts.download, parts.find);
    const digest = `sha256:${sha256Hex(bytes)}`;
    const pinned = pin(chart);
    if (pinned !== undefined) refuseChanged(chart, digest, pinned);
    return { digest, bytes, url: redact(repository.url) };
  };
  const fetchAndRecord = async (chart: PublishedChart): Promise<Archive> => {
    const { digest, bytes, url } = await fetch(chart);
    if (chart.digest === null) {
      const { repository, name, version } = chart;
      const stands = await parts.record({ repository, name, version, digest, url });
      refuseChanged(chart, digest, stands.digest);
    }
    await parts.store.put(hexOf(digest), bytes);
    return { digest, bytes };
  };

  return {
    pin,
    open(chart) {
      const key = `${chartKey(chart)} ${chart.digest ?? ""}`;
      const opened = async (): Promise<Archive> => (await kept(pin(chart))) ?? (await fetchAndRecord(chart));
      const running = opening.get(key) ?? opened().finally(() => opening.delete(key));
      opening.set(key, running);
      return running;
    },
    look: async (chart) => (await kept(pin(chart))) ?? (await fetch(chart)),
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
