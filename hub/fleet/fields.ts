import { z } from "zod";
import { applicationName, clusterId, environmentName } from "#proto/ids.ts";

// The pattern of proto/ids.ts again, because JSON Schema shows it to editors.
const dnsLabel = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const labelValue = /^(?:[A-Za-z0-9](?:[\w.-]{0,61}[A-Za-z0-9])?)?$/;
const labelName = /^(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?\/)?[A-Za-z0-9](?:[\w.-]{0,61}[A-Za-z0-9])?$/;

export const name = z
  .string()
  .regex(dnsLabel, { error: "must be a DNS label: lower-case letters, digits and dashes, at most 63" });
export const cluster = name.transform(clusterId);
export const environment = name.transform(environmentName);
export const application = name.transform(applicationName);

/** A list that names each thing once. */
export const unique = <Item extends z.ZodType>(item: Item): z.ZodArray<Item> =>
  z.array(item).refine((items) => new Set(items).size === items.length, { error: "names one of its items twice" });

export const text = z.string().min(1, { error: "must not be empty" });
const sentence = z.string().max(1_000).default("");
/** Why somebody asked for it; shown wherever it has an effect. */
export const reason = sentence;

export const labels = z.record(
  z.string().regex(labelName, { error: "is no label name of Kubernetes" }),
  z.string().regex(labelValue, { error: "is no label value of Kubernetes" }),
);
export const selector = z.strictObject({ matchLabels: labels });

const units: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const durationText = /^(?:\d{1,9}(?:ms|s|m|h|d))+$/;

/** `90s`, `30m`, `1h30m`, `7d` in milliseconds; undefined for anything else. */
export function parseDuration(text: string): number | undefined {
  if (!durationText.test(text)) return undefined;
  const parts = [...text.matchAll(/(\d+)(ms|s|m|h|d)/g)];
  const total = parts.reduce((sum, [, count, unit]) => sum + Number(count) * units[unit!]!, 0);
  return Number.isSafeInteger(total) ? total : undefined;
}

/** A length of time, read as milliseconds. */
export const duration = z
  .string({ error: "must be a duration such as 30s, 10m or 2h" })
  .regex(durationText, { error: "must be a duration such as 30s, 10m or 2h" })
  .transform((text) => parseDuration(text)!);

const percentError = { error: "must be a percentage from 0% to 100%, such as 20%" };
/** `20%`, or the bare number 20. */
export const percent = z
  .union(
    [z.string().regex(/^(?:\d|[1-9]\d|100)%$/, percentError), z.int().min(0, percentError).max(100, percentError)],
    percentError,
  )
  .transform((value) => (typeof value === "number" ? value : Number(value.slice(0, -1))));

/** A moment, read as milliseconds since 1970; null when nothing is said. */
export const until = z.iso
  .datetime({ offset: true, error: "must be a moment such as 2026-03-01T18:00:00Z" })
  .transform((text) => Date.parse(text))
  .optional()
  .transform((ms) => ms ?? null);

// git-check-ref-format's rules, and no leading dash, which would be read as an option.
const branchName = /^(?![-/.])(?!.*(?:\.\.|\/\/|@\{|\/\.|\.lock(?:\/|$)))[^\p{Cc} ~^:?*[\\]+(?<![/.])$/u;
export const branch = z.string().max(250).regex(branchName, { error: "is no name of a Git branch" });

/** A path inside a repository, which may hold parameters; empty or `.` is its root. */
export const path = z
  .string()
  .max(1_024)
  .refine(isInside, { error: "must be a path inside the repository: no leading slash and no `..`" });

export function isInside(path: string): boolean {
  return !path.startsWith("/") && !/[\\\p{Cc}]/u.test(path) && !path.split("/").includes("..");
}

/** Names of Secrets and of their keys, which become names of files. */
const secretPart = text
  .max(253)
  .regex(/^(?!\.{1,2}$)[-._a-zA-Z0-9]+$/, { error: "must be letters, digits, dashes, dots and underscores" });

/** Where a secret lies. The value itself never stands in Git. */
export const reference = z
  .strictObject({
    file: text.optional(),
    secret: z.strictObject({ namespace: name, name: secretPart, key: secretPart }).optional(),
  })
  .refine(({ file, secret }) => (file === undefined) !== (secret === undefined), {
    error: "must name either a file or a secret",
  })
  .transform(({ file, secret }): SecretReference => (secret ? { secret } : { file: file! }));

export type SecretReference =
  | { readonly file: string }
  | { readonly secret: { readonly namespace: string; readonly name: string; readonly key: string } };

export const subject = z.string().regex(/^(?:group|user):[^\s,]{1,253}$/, { error: "must be group:NAME or user:NAME" });
