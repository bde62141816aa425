import type { CliConfig, OfflineConfig } from "#cli/config.ts";
import { CliError, exitCode } from "#cli/errors.ts";
import { compareObjects, withoutSecrets, type ObjectChange } from "#cli/offline/compare.ts";
import { hint, plain, print, shortRevision } from "#cli/output.ts";
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
    () => textOf(config, changes),
    () => changes.map(({ object }) => object),
  );
  hint(
    isDifferent
      ? `${application} on ${now.cluster}: ${counted(changes.length, "object")} ${changes.length === 1 ? "differs" : "differ"} between ${shortRevision(before.revision)}${revision === undefined ? ", which runs," : ""} and the ${now.revision}`
      : `${application} on ${now.cluster}: nothing differs`,
  );
  if (isDifferent && changes.length === 0) hint("only the values of Secrets differ, which the hub does not show");
  if (isDifferent && options.exitCode === true) throw new CliError(exitCode.no, "something differs");
}

/** The hub takes out the values of Secrets, so ours are taken out too; keys are compared. */
function changesOf(before: RenderedAnswer, now: RenderedAnswer, isRedacted: boolean): ObjectChange[] {
  const [old, own] = [before, now].map(({ objects }) => objects as unknown as KubeObject[]) as [
    KubeObject[],
    KubeObject[],
  ];
  return isRedacted
    ? compareObjects(withoutSecrets(old), withoutSecrets(own))
    : withoutSecretText(compareObjects(old, own));
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
  before: before === null ? null : "(redacted)",
  after: after === null ? null : "(redacted, another value)",
});

const colours = { added: 32, removed: 31, changed: 33 } as const;
const signs = { added: "+", removed: "-", changed: "~" } as const;

function textOf(config: CliConfig, changes: readonly ObjectChange[]): string {
  const paint = (colour: number, text: string): string => (config.colour ? `\u001b[${colour}m${text}\u001b[0m` : text);
  return changes
    .map(({ object, kind, fields }) => {
      const lines = fields.map(
        ({ path, before, after }) =>
          `    ${plain(path)}  ${paint(31, shortened(before))} → ${paint(32, shortened(after))}\n`,
      );
      return `${paint(colours[kind], `${signs[kind]} ${object}`)}\n${lines.join("")}`;
    })
    .join("");
}

/** A whole file in a ConfigMap is for -o json. */
function shortened(value: string | null): string {
  if (value === null) return "(none)";
  const text = plain(value);
  return text.length <= 120 ? text : `${text.slice(0, 117)}…`;
}
