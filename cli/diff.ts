import type { OfflineConfig } from "#cli/config.ts";
import { CliError, exitCode } from "#cli/errors.ts";
import { changesText } from "#cli/offline/change-text.ts";
import { compareObjects, isSecret, redacted, withoutSecrets, type ObjectChange } from "#cli/offline/compare.ts";
import { hint, print, shortRevision } from "#cli/output.ts";
import { renderedByHub, renderedHere, type RenderOptions } from "#cli/render.ts";
import { counted } from "#lib/counted.ts";
import type { RenderedAnswer } from "#proto/api.ts";
import type { KubeObject } from "#proto/object.ts";

export type DiffOptions = Omit<RenderOptions, "fromHub"> & { exitCode?: boolean };

/** `plumb diff APPLICATION`: the checkout as it lies there against what runs, or against another revision of it. */
export async function diff(
  config: OfflineConfig,
  application: string,
  options: DiffOptions,
  signal: AbortSignal,
): Promise<void> {
  const now = await renderedHere(config, application, options, undefined, signal);
  const { revision } = options;
  const before =
    revision === undefined
      ? await renderedByHub(config, application, { cluster: now.cluster, environment: now.environment })
      : await renderedHere(config, application, options, revision, signal);
  const changes = changesOf(before, now, revision === undefined);
  const isDifferent = before.digest !== now.digest;
  const data = { application, cluster: now.cluster, from: before.revision, to: now.revision, isDifferent, changes };
  print(
    options.output,
    data,
    () => changesText(changes, config.colour),
    () => changes.map(({ object }) => object),
  );
  hint(
    isDifferent
      ? `${application} on ${now.cluster}: ${counted(changes.length, "object")} ${changes.length === 1 ? "differs" : "differ"} between ${shortRevision(before.revision)}${revision === undefined ? ", which runs," : ""} and the ${now.revision}`
      : `${application} on ${now.cluster}: nothing differs`,
  );
  if (isDifferent && changes.length === 0) hint("only the values of Secrets differ, which the hub does not show");
  else if (isDifferent && revision === undefined && holdsSecret(now))
    hint("the values of Secrets, which the hub does not show, may differ too");
  if (isDifferent && options.exitCode === true) throw new CliError(exitCode.no, "something differs");
}

/** The hub takes out the values of Secrets, so ours are taken out too; keys are compared. */
function changesOf(before: RenderedAnswer, now: RenderedAnswer, isRedacted: boolean): ObjectChange[] {
  const [old, own] = [before, now].map(({ objects }) => objects as unknown as KubeObject[]) as [
    KubeObject[],
    KubeObject[],
  ];
  const [was, is] = isRedacted ? [withoutSecrets(old), withoutSecrets(own)] : [old, own];
  return withoutSecretText(compareObjects(was, is));
}

/** Both sides are at hand, yet a terminal is no place for a password. */
const withoutSecretText = (changes: readonly ObjectChange[]): ObjectChange[] =>
  changes.map((change) =>
    change.object.startsWith("Secret ")
      ? { ...change, fields: change.fields.map((field) => (field.path.startsWith("data") ? hidden(field) : field)) }
      : change,
  );

const hidden = ({ path, before, after }: ObjectChange["fields"][number]) => ({
  path,
  before: before === null ? null : redacted,
  after: after === null ? null : before === null ? redacted : "(redacted, another value)",
});

const holdsSecret = ({ objects }: RenderedAnswer): boolean => objects.some((object) => isSecret(object as KubeObject));
