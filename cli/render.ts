import { yamlText } from "#lib/yaml-text.ts";
import { ask } from "#cli/client.ts";
import type { CliConfig, OfflineConfig } from "#cli/config.ts";
import { CliError, exitCode, usage } from "#cli/errors.ts";
import { chartsElsewhere } from "#cli/offline/charts.ts";
import { openKitchen, type Dish, type Wish } from "#cli/offline/kitchen.ts";
import { filesAt, openFleetTree, type FleetTree } from "#cli/offline/tree.ts";
import { wishOf } from "#cli/offline/wish.ts";
import { hint, plain, print, shortRevision, type Format } from "#cli/output.ts";
import { openCheckout } from "#hub/git/checkout.ts";
import { counted } from "#lib/counted.ts";
import type { RenderedAnswer } from "#proto/api.ts";
import { describeRef, refOf, type KubeObject } from "#proto/object.ts";

export type RenderOptions = {
  output: Format;
  cluster?: string;
  environment?: string;
  revision?: string;
  fleet: string;
  source?: string;
  chart?: string;
  fromHub?: boolean;
};

/** `plumb render APPLICATION`: the objects that the hub would make of a checkout, or makes. */
export async function render(
  config: OfflineConfig,
  application: string,
  options: RenderOptions,
  signal: AbortSignal,
): Promise<void> {
  const answer =
    options.fromHub === true
      ? await renderedByHub(config, application, options)
      : await renderedHere(config, application, options, options.revision, signal);
  const { objects, ...about } = answer;
  hint(
    `${application} for ${about.cluster} (${about.environment}) at ${shortRevision(about.revision)}: ${counted(objects.length, "object")} by ${about.renderer}, digest ${about.digest.slice(0, 12)}`,
  );
  print(
    options.output,
    answer,
    () => objects.map((object) => yamlText(object)).join("---\n"),
    () => objects.map((object) => describeRef(refOf(object as KubeObject))),
  );
}

export async function renderedHere(
  config: OfflineConfig,
  application: string,
  options: RenderOptions,
  revision: string | undefined,
  signal: AbortSignal,
): Promise<RenderedAnswer> {
  // The documents are those at hand, also for an older revision of what they speak of.
  const tree = await openFleetTree(options.fleet, config.searchPath);
  const wish = wishOf(tree.fleet, application, options);
  const source = await sourceOf(tree, wish, options, config.searchPath, revision);
  await using kitchen = await openKitchen(config.tools, chartsElsewhere(config, options.chart), signal);
  const dish = await kitchen.cook(tree.fleet, source.files, wish);
  return answerOf(dish, wish, source.revision);
}

function answerOf(dish: Dish, { application, environment, cluster }: Wish, revision: string): RenderedAnswer {
  if (!dish.ok) throw new CliError(exitCode.failed, `${application} does not render for ${cluster}: ${dish.because}`);
  const { digest, renderer, objects, warnings } = dish;
  for (const warning of warnings) hint(plain(`warning: ${warning}`));
  return { application, environment, cluster, revision, digest, renderer, objects };
}

/** Where an Application's files lie: in the fleet repository itself, or in a checkout of its own repository. */
export async function sourceOf(
  { fleet, checkout }: FleetTree,
  { application }: Wish,
  options: { source?: string },
  searchPath: string,
  revision?: string,
): Promise<Awaited<ReturnType<typeof filesAt>>> {
  const repository = fleet.applications.get(application)!.source.repository;
  if (repository === null) return filesAt(checkout, revision);
  if (options.source === undefined)
    throw usage(`${application} comes from the Repository ${repository}: name a checkout of it by --source`);
  return filesAt(await openCheckout(options.source, searchPath), revision);
}

export function renderedByHub(
  config: CliConfig,
  application: string,
  { cluster, environment, revision }: Pick<RenderOptions, "cluster" | "environment" | "revision">,
): Promise<RenderedAnswer> {
  if (cluster === undefined) throw usage("name a cluster by --cluster");
  const query = new URLSearchParams({ cluster, ...(environment && { environment }), ...(revision && { revision }) });
  return ask<RenderedAnswer>(
    config,
    "GET",
    `/api/v1/applications/${encodeURIComponent(application)}/rendered?${query.toString()}`,
  );
}
