import { z } from "zod";
import { duration, environment, name, percent, selector, subject, text, unique } from "../fields.ts";
import { follow } from "./follow.ts";

const revisions = z
  .strictObject({
    follow: follow.optional(),
    promotedFrom: unique(environment).min(1).optional(),
    auto: z.boolean().optional(),
  })
  .superRefine(({ follow, promotedFrom, auto }, context) => {
    const refuse = (message: string): void => context.addIssue({ code: "custom", message });
    if ((follow === undefined) === (promotedFrom === undefined)) refuse("must say either follow or promotedFrom");
    else if (follow !== undefined && auto !== undefined) refuse("has auto, which goes with promotedFrom only");
  })
  .transform(({ follow, promotedFrom, auto }) =>
    promotedFrom ? { promotedFrom, auto: auto ?? false } : { follow: follow! },
  );

const signatures = z
  .strictObject({ require: z.enum(["off", "head", "all"]).default("off"), signers: unique(name).default([]) })
  .refine(({ require, signers }) => require === "off" || signers.length > 0, {
    path: ["signers"],
    error: "must name who may sign, or nothing is ever accepted",
  });

// `1.30` is kept as it is written: as a number it would be 1.3.
const kubernetes = z.strictObject({
  version: z
    .string()
    .regex(/^v?1\.\d{1,3}(?:\.\d{1,3})?$/, { error: "must be a Kubernetes version such as 1.36" })
    .meta({ type: ["string", "number"] })
    .optional(),
  apis: unique(text).default([]),
});

const timeOfDay = z.string().regex(/^(?:[01]\d|2[0-3]):[0-5]\d$/, { error: "must be a time of day such as 09:00" });
const window = z.strictObject({
  days: unique(z.enum(["mon", "tue", "wed", "thu", "fri", "sat", "sun"]))
    .min(1)
    .optional(),
  from: timeOfDay,
  to: timeOfDay,
  zone: z.string().refine(isTimeZone, { error: "is no time zone: write Europe/Berlin or UTC" }).default("UTC"),
});

const gates = z.strictObject({
  soak: duration.default(0),
  approvals: z.strictObject({ count: z.int().min(1).max(20), by: unique(subject).min(1) }).optional(),
  windows: z.array(window).default([]),
});

const wave = z
  .strictObject({
    matchLabels: selector.shape.matchLabels.optional(),
    percent: percent.optional(),
    soak: duration.default(0),
  })
  .refine(({ matchLabels, percent }) => (matchLabels === undefined) !== (percent === undefined), {
    error: "must say either matchLabels or percent",
  });

const waves = z
  .array(wave)
  .max(50)
  .default([])
  .superRefine((waves, context) => {
    let reached = 0;
    for (const [index, { percent }] of waves.entries()) {
      if (percent === undefined) continue;
      if (percent <= reached)
        context.addIssue({
          code: "custom",
          path: [index, "percent"],
          message: `must be more than the ${reached}% of the waves before it`,
        });
      reached = percent;
    }
    if (waves.length > 0 && waves.at(-1)!.percent !== 100)
      context.addIssue({
        code: "custom",
        path: [waves.length - 1],
        message: "must be percent: 100, or some clusters never get a revision",
      });
  });

const shareError = { error: "must be a percentage such as 10%, or a number of clusters" };
const rollout = z.strictObject({
  waves,
  /** A share of the environment's clusters, or a number of them. */
  maxUnavailable: z
    .union([z.int().min(1, shareError), z.string().regex(/^(?:[1-9]\d?|100)%$/, shareError)], shareError)
    .transform((value) => (typeof value === "number" ? { clusters: value } : { percent: Number(value.slice(0, -1)) }))
    .prefault("10%"),
  onFailure: z.enum(["halt", "rollback"]).default("halt"),
});

export const environmentSpec = z
  .strictObject({
    clusters: selector,
    revisions,
    signatures: signatures.prefault({}),
    kubernetes: kubernetes.prefault({}),
    gates: gates.prefault({}),
    rollout: rollout.prefault({}),
  })
  .refine(({ revisions, rollout }) => !("follow" in revisions && rollout.onFailure === "rollback"), {
    path: ["rollout", "onFailure"],
    error: "must be halt: an environment that follows a branch has no Promotion to take back",
  });

function isTimeZone(zone: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: zone }).format(0);
    return true;
  } catch {
    return false;
  }
}
