import type { EntryKey } from "#proto/desired-state.ts";
import type { ApplicationName, ClusterId, EnvironmentName } from "#proto/ids.ts";
import type { FailedDocument, Origin } from "./document.ts";
import type { Declared, KindName } from "./kinds/kinds.ts";

type Of<Kind extends KindName> = Origin & Readonly<Declared<Kind>>;
export type Cluster = Of<"Cluster">;
export type Environment = Of<"Environment">;
export type Application = Of<"Application">;
export type Promotion = Of<"Promotion">;
export type Removal = Of<"Removal">;
export type DriftException = Of<"DriftException">;
export type Freeze = Of<"Freeze">;
export type Repository = Of<"Repository">;
export type Signer = Of<"Signer">;
export type Access = Of<"Access">;
export type Role = Access["grants"][number]["roles"][number];
export type HealthRule = Of<"HealthRule">;
export type Notification = Of<"Notification">;

/** What people want, as one commit of the fleet repository says it. Every map is in the order of files and lines. */
export type Fleet = {
  readonly clusters: ReadonlyMap<ClusterId, Cluster>;
  readonly environments: ReadonlyMap<EnvironmentName, Environment>;
  readonly applications: ReadonlyMap<ApplicationName, Application>;
  /** By `promotionKey`: one an Application and Environment. */
  readonly promotions: ReadonlyMap<string, Promotion>;
  readonly removals: ReadonlyMap<string, Removal>;
  readonly exceptions: ReadonlyMap<string, DriftException>;
  readonly freezes: ReadonlyMap<string, Freeze>;
  readonly repositories: ReadonlyMap<string, Repository>;
  readonly signers: ReadonlyMap<string, Signer>;
  readonly access: ReadonlyMap<string, Access>;
  readonly healthRules: ReadonlyMap<string, HealthRule>;
  readonly notifications: ReadonlyMap<string, Notification>;
  /** Left out because of a problem. What they spoke of is to be held, not to be taken as gone. */
  readonly failed: readonly FailedDocument[];
};

export const promotionKey = ({ environment, application }: EntryKey): string => `${environment}/${application}`;

/** The map of a fleet that holds a kind. */
export const collections = {
  Cluster: "clusters",
  Environment: "environments",
  Application: "applications",
  Promotion: "promotions",
  Removal: "removals",
  DriftException: "exceptions",
  Freeze: "freezes",
  Repository: "repositories",
  Signer: "signers",
  Access: "access",
  HealthRule: "healthRules",
  Notification: "notifications",
} as const satisfies Record<KindName, keyof Fleet>;
