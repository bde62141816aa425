import { z } from "zod";
import { application, cluster, environment, reason, text, unique, until } from "../fields.ts";
import { commitId } from "./follow.ts";

export const promotionSpec = z
  .strictObject({
    environment,
    application,
    revision: commitId,
    /** Plan hash that lifts the prune budget for this revision. */
    allowPrune: z
      .string()
      .regex(/^[0-9a-f]{8,64}$/, { error: "must be the plan hash as it was shown" })
      .optional(),
    reason,
  })
  .transform(({ allowPrune, ...promotion }) => ({ ...promotion, allowPrune: allowPrune ?? "" }));

const scoped = { environment: environment.optional(), cluster: cluster.optional() };
type Scoped = z.output<z.ZodObject<typeof scoped>>;
const isOneScope = (scope: Scoped): boolean => (scope.environment === undefined) !== (scope.cluster === undefined);
const oneScope = { error: "must name either an environment or a cluster" };
const scopeOf = ({ environment, cluster }: Scoped) =>
  cluster === undefined ? { environment: environment! } : { cluster };

export const removalSpec = z
  .strictObject({ application, ...scoped, mode: z.enum(["delete", "orphan"]), reason })
  .refine(isOneScope, oneScope)
  .transform(({ application, mode, reason, ...scope }) => ({ application, scope: scopeOf(scope), mode, reason }));

export const driftExceptionSpec = z
  .strictObject({
    ...scoped,
    application,
    /** `Kind namespace/name` or `Kind name` as drift reports print it; `*` matches any name. */
    object: z.string().regex(/^[A-Za-z][A-Za-z0-9.]* [^\s/]+(?:\/[^\s/]+)?$/, {
      error: "must be an object as drift reports print it, such as Deployment shop/web",
    }),
    fields: unique(text).min(1),
    until,
    reason,
  })
  .refine(isOneScope, oneScope)
  .transform(({ environment, cluster, until, ...exception }) => ({
    ...exception,
    scope: scopeOf({ environment, cluster }),
    untilMs: until,
  }));

/** An empty list matches everything. */
export const freezeSpec = z
  .strictObject({
    environments: unique(environment).default([]),
    applications: unique(application).default([]),
    clusters: unique(cluster).default([]),
    until,
    reason,
    healing: z.boolean().default(true),
  })
  .transform(({ until, ...freeze }) => ({ ...freeze, untilMs: until }));
