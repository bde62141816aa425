import { z } from "zod";
import { application, cluster, environment, labels, name } from "../fields.ts";
import { applicationSpec } from "./application.ts";
import { environmentSpec } from "./environment.ts";
import { driftExceptionSpec, freezeSpec, promotionSpec, removalSpec } from "./requests.ts";
import { signerSpec } from "./signer.ts";
import { accessSpec, healthRuleSpec, notificationSpec, repositorySpec } from "./settings.ts";

export const apiVersion = "plumbline.dev/v1";

const clusterKind = z
  .strictObject({
    apiVersion: z.literal(apiVersion),
    kind: z.literal("Cluster"),
    metadata: z.strictObject({ name: cluster, labels: labels.default({}) }),
  })
  .transform(({ metadata }) => metadata);

/** Every kind of fleet document: what is written goes in, what the hub works with comes out. */
export const kinds = {
  Cluster: clusterKind,
  Environment: kind("Environment", environment, environmentSpec),
  Application: kind("Application", application, applicationSpec),
  Promotion: kind("Promotion", name, promotionSpec),
  Removal: kind("Removal", name, removalSpec),
  DriftException: kind("DriftException", name, driftExceptionSpec),
  Freeze: kind("Freeze", name, freezeSpec),
  Repository: kind("Repository", name, repositorySpec),
  Signer: kind("Signer", name, signerSpec),
  Access: kind("Access", name, accessSpec),
  HealthRule: kind("HealthRule", name, healthRuleSpec),
  Notification: kind("Notification", name, notificationSpec),
};

export type KindName = keyof typeof kinds;
export type Declared<Kind extends KindName> = z.output<(typeof kinds)[Kind]>;

export const isKindName = (value: unknown): value is KindName =>
  typeof value === "string" && Object.hasOwn(kinds, value);

function kind<Name extends z.ZodType<string>, Spec extends z.ZodType<object>>(kind: string, name: Name, spec: Spec) {
  const written = z.strictObject({
    apiVersion: z.literal(apiVersion),
    kind: z.literal(kind),
    metadata: z.strictObject({ name }),
    spec,
  });
  // The compiler cannot follow the output of an object whose members are type parameters.
  type Written = { readonly metadata: { readonly name: z.output<Name> }; readonly spec: z.output<Spec> };
  return written.transform((document) => {
    const { metadata, spec } = document as unknown as Written;
    return { name: metadata.name, ...spec };
  });
}
