import type { FleetDocument } from "./document.ts";
import type { KindName } from "./kinds/kinds.ts";
import type { FieldPath } from "./problem.ts";

/** One name in a document that must be declared somewhere in the fleet. */
export type Reference = { readonly path: FieldPath; readonly kind: KindName; readonly name: string };

/**
 * What a document names. A Removal's Application may be gone from the fleet already, which is how Applications end; and
 * what it takes away lies where the Environment or the Cluster says.
 */
export function referencesOf(document: FleetDocument): Reference[] {
  switch (document.kind) {
    case "Environment": {
      const { revisions, signatures } = document.value;
      const before = "promotedFrom" in revisions ? revisions.promotedFrom : [];
      return [
        ...list("Environment", ["spec", "revisions", "promotedFrom"], before),
        ...list("Signer", ["spec", "signatures", "signers"], signatures.signers),
      ];
    }
    case "Application": {
      const { source, environments, dependsOn } = document.value;
      return [
        ...one("Repository", ["spec", "source", "repository"], source.repository ?? undefined),
        ...one(
          "Repository",
          ["spec", "source", "helm", "chart", "repository"],
          source.helm.chart?.repository ?? undefined,
        ),
        ...list("Environment", ["spec", "environments"], environments),
        ...list("Application", ["spec", "dependsOn"], dependsOn),
      ];
    }
    case "Promotion":
      return [
        ...one("Environment", ["spec", "environment"], document.value.environment),
        ...one("Application", ["spec", "application"], document.value.application),
      ];
    case "Removal":
      return scope(document.value.scope);
    case "DriftException":
      return [
        ...scope(document.value.scope),
        ...one("Application", ["spec", "application"], document.value.application),
      ];
    case "Freeze":
    case "Notification":
      return [
        ...list("Environment", ["spec", "environments"], document.value.environments),
        ...list("Application", ["spec", "applications"], document.value.applications),
        ...list("Cluster", ["spec", "clusters"], document.value.clusters),
      ];
    case "Access":
      return [
        ...promoters(["spec", "grants"], document.value.grants),
        ...promoters(["spec", "tokens"], document.value.tokens),
      ];
    case "Cluster":
    case "Repository":
    case "Signer":
    case "HealthRule":
      return [];
  }
}

/**
 * A Freeze or an Access document with a name that is not declared stays in force for the others: leaving it out would
 * open what it closes, or lock everybody out.
 */
export const survivesMissingNames = (kind: KindName): boolean => kind === "Freeze" || kind === "Access";

const one = (kind: KindName, path: FieldPath, name: string | undefined): Reference[] =>
  name === undefined ? [] : [{ path, kind, name }];

const list = (kind: KindName, path: FieldPath, names: readonly string[]): Reference[] =>
  names.map((name, index) => ({ path: [...path, index], kind, name }));

const scope = (scope: { readonly environment: string } | { readonly cluster: string }): Reference[] =>
  "cluster" in scope
    ? one("Cluster", ["spec", "cluster"], scope.cluster)
    : one("Environment", ["spec", "environment"], scope.environment);

type Granted = { readonly roles: readonly { readonly role: string; readonly environments?: readonly string[] }[] };

const promoters = (path: FieldPath, granted: readonly Granted[]): Reference[] =>
  granted.flatMap(({ roles }, index) =>
    roles.flatMap(({ environments }, at) =>
      list("Environment", [...path, index, "roles", at, "promoter"], environments ?? []),
    ),
  );
