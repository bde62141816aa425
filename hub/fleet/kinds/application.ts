import { z } from "zod";
import { application, duration, environment, name, path, percent, text, unique } from "../fields.ts";
import { unknownParameters } from "../select.ts";

const template = path.superRefine((text, context) => {
  for (const unknown of unknownParameters(text))
    context.addIssue({
      code: "custom",
      message: `holds the unknown parameter ${unknown}: there are \${environment}, \${cluster.name} and \${cluster.labels.NAME}`,
    });
});

const helm = z.strictObject({
  /** Laid over the chart's own values, after `valuesFiles`. */
  values: z.record(z.string(), z.json()).default({}),
  /** Relative to the chart; later ones win. */
  valuesFiles: z.array(template).default([]),
  /** Objects with content that no second rendering repeats: created if absent, never updated. */
  once: z.array(z.strictObject({ kind: text, name: text })).default([]),
});

const source = z
  .strictObject({
    /** A Repository's name; without it, the fleet repository itself. */
    repository: name.optional(),
    path: template,
    render: z.enum(["auto", "plain", "kustomize", "helm"]).default("auto"),
    helm: helm.prefault({}),
  })
  .refine(({ render, helm }) => !(render === "plain" || render === "kustomize") || isEmpty(helm), {
    path: ["helm"],
    error: "is for Helm charts, and render says something else",
  })
  .transform(({ repository, ...source }) => ({ repository: repository ?? null, ...source }));

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
    serviceAccount: z.string().max(253).default(""),
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

const isEmpty = ({ values, valuesFiles, once }: z.output<typeof helm>): boolean =>
  Object.keys(values).length + valuesFiles.length + once.length === 0;
