import { z } from "zod";
import { application, duration, environment, name, path, percent, text, unique } from "../fields.ts";
import { chart } from "./chart.ts";
import { follow } from "./follow.ts";
import { unknownParameters } from "../select.ts";

const template = path.superRefine((text, context) => {
  for (const unknown of unknownParameters(text))
    context.addIssue({
      code: "custom",
      message: `holds the unknown parameter ${unknown}: there are \${environment}, \${cluster.name} and \${cluster.labels.NAME}`,
    });
});

// Every star may cost a walk over the whole path again.
const glob = text
  .max(256)
  .refine((text) => text.replaceAll("**", "*").split("*").length <= 9, { error: "may hold at most 8 stars" })
  .refine((text) => !text.startsWith("/") && !text.startsWith("!"), {
    error: "is matched below the folder: no leading slash, and no `!` (there is exclude)",
  });
const globs = z.array(glob).max(100).default([]);

const helm = z.strictObject({
  /** A chart from elsewhere; without it, the chart in `path`. */
  chart: chart.optional(),
  /** Laid over the chart's own values, after `valuesFiles`. */
  values: z.record(z.string(), z.json()).default({}),
  /** Relative to `path`; later ones win. */
  valuesFiles: z.array(template).default([]),
  /** Objects with content that no second rendering repeats: created if absent, never updated. */
  once: z.array(z.strictObject({ kind: text, name: text })).default([]),
});

const source = z
  .strictObject({
    /** A Repository's name; without it, the fleet repository itself. */
    repository: name.optional(),
    path: template.optional(),
    /** Instead of what its environments follow; those that are promoted take no notice. */
    follow: follow.optional(),
    render: z.enum(["auto", "plain", "kustomize", "helm"]).default("auto"),
    /** Globs of plain manifests, below `path`; none means every .yaml, .yml and .json. */
    include: globs,
    exclude: globs,
    /** Fill `${environment}` and `${cluster...}` in the text of manifests. */
    parameters: z.boolean().default(false),
    /** Custom kinds without a namespace whose CRDs come from elsewhere, as `group/Kind`. */
    clusterScoped: unique(z.string().regex(/^[a-z0-9.-]+\/[A-Z]\w*$/, { error: "must be group/Kind" })).default([]),
    helm: helm.prefault({}),
  })
  .superRefine(({ path, render, include, exclude, parameters, helm }, context) => {
    const refuse = (field: string, message: string): void =>
      context.addIssue({ code: "custom", path: [field], message });
    const isOther = (wanted: string): boolean => render !== wanted && render !== "auto";
    if (path === undefined && helm.chart === undefined) refuse("path", "is missing");
    if (isOther("helm") && !isEmpty(helm)) refuse("helm", "is for Helm charts, and render says something else");
    if (isOther("plain") && include.length > 0)
      refuse("include", "is for plain manifests, and render says something else");
    if (isOther("plain") && exclude.length > 0)
      refuse("exclude", "is for plain manifests, and render says something else");
    if (parameters && (render === "helm" || helm.chart !== undefined))
      refuse("parameters", "is for plain manifests and Kustomize: a chart takes parameters in helm.values");
  })
  .transform(({ repository, path, helm: { chart, ...helm }, ...source }) => ({
    ...source,
    repository: repository ?? null,
    path: path ?? "",
    helm: { ...helm, chart: chart ?? null },
  }));

const prune = z
  .strictObject({
    enabled: z.boolean().default(true),
    budget: percent.default(20),
    protected: unique(text).default([]),
  })
  .transform(({ enabled, budget, protected: kinds }) => ({ enabled, budgetPercent: budget, protected: kinds }));

const delivery = z
  .strictObject({
    drift: z.enum(["correct", "report"]).default("correct"),
    strict: z.boolean().default(false),
    adopt: z.enum(["ifEqual", "never", "take"]).default("ifEqual"),
    /** Writes for this Application on the clusters: a name in its namespace, or "namespace/name". Empty: the agent's default. */
    serviceAccount: z
      .string()
      .max(317)
      .regex(/^(([a-z0-9-]+\/)?[a-z0-9][a-z0-9.-]*)?$/, "must be the name of a ServiceAccount, or namespace/name")
      .default(""),
    timeout: duration.default(300_000),
    prune: prune.prefault({}),
  })
  .transform(({ timeout, ...delivery }) => ({ ...delivery, timeoutMs: timeout }));

export const applicationSpec = z.strictObject({
  source,
  namespace: name,
  environments: unique(environment).min(1),
  dependsOn: unique(application).default([]),
  delivery: delivery.prefault({}),
});

const isEmpty = ({ chart, values, valuesFiles, once }: z.output<typeof helm>): boolean =>
  chart === undefined && Object.keys(values).length + valuesFiles.length + once.length === 0;
