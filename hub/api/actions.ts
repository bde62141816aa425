import type { Actor } from "#hub/api/authorise.ts";
import type { TenantProfile } from "#proto/token.ts";

/** What people ask for, done as commits. Each refusal says why and what to do. */
export interface Actions {
  register(
    actor: Actor,
    cluster: { name: string; labels: Readonly<Record<string, string>>; tenant?: TenantProfile | undefined },
  ): Promise<Outcome<Registered>>;
  revoke(actor: Actor, cluster: string, reason: string): Promise<Outcome<{ commit: string; file: string }>>;
  promote(
    actor: Actor,
    promotion: {
      environment: string;
      application: string;
      revision: string | undefined;
      reason: string;
      allowPrune: string | undefined;
    },
  ): Promise<Outcome<{ commit: string; file: string; revision: string }>>;
  remove(
    actor: Actor,
    removal: {
      application: string;
      scope: { environment: string } | { cluster: string };
      mode: "delete" | "orphan";
      reason: string;
    },
  ): Promise<Outcome<{ commit: string; file: string }>>;
  /** Goes on from another history of a branch than before. Without a branch, of the only one that is stopped there. */
  acceptRewrite(
    actor: Actor,
    rewrite: { repository: string; branch: string | undefined; to: string | undefined; reason: string },
  ): Promise<Outcome<{ commit: string; file: string; branch: string; from: string; to: string }>>;
  /** Manifests for a token that this hub gave, of the profile that it was given for; undefined for any other. */
  paste(cluster: string, token: string): string | undefined;
  /** Looks at a repository now. False when no such repository is followed. */
  webhook(repository: string, headers: Headers, body: Uint8Array): Promise<{ ok: boolean; because: string }>;
}

export type Outcome<Value> =
  | ({ readonly ok: true } & Value)
  | {
      readonly ok: false;
      readonly status: 400 | 404 | 409 | 422 | 503;
      readonly message: string;
      readonly advice: string;
    };

export type Registered = {
  readonly cluster: string;
  readonly commit: string;
  readonly file: string;
  readonly joinCommand: string;
  readonly paste: string;
  readonly expiresAt: string;
};
