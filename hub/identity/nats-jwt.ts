import { fromPublic } from "@nats-io/nkeys";
import { agentsAccount, hubAccount, systemAccount } from "#hub/identity/nats-accounts.ts";
import { mint } from "#hub/identity/nats-claims.ts";
import { openNatsKey, type NatsKeys } from "#hub/identity/nats-keys.ts";
import { systemClock, type Clock } from "#lib/clock.ts";
import type { ClusterId } from "#proto/ids.ts";

export type NatsUser = { readonly jwt: string; readonly seed: string };

/** Everything that a broker, the hub and its agents know each other by. */
export type NatsIdentity = {
  readonly operatorJwt: string;
  readonly systemAccount: string;
  /** What a broker starts with. The agents' account is older here than any that was pushed, so a restart undoes no revocation. */
  readonly accounts: readonly { readonly id: string; readonly jwt: string }[];
  /** The account whose store holds the streams. */
  readonly streamsAccount: string;
  readonly hubUser: NatsUser;
  readonly systemUser: NatsUser;
  /** For the agent's own nkey; the hub never sees a seed. Throws InvalidNkey. */
  agentJwt(cluster: ClusterId, nkey: string, notAfterMs: number): string;
  /** The claims to push: an nkey's JWTs issued at or before its time (seconds since 1970) are dead, and its connections end. */
  agentsAccountJwt(revocations: ReadonlyMap<string, number>): string;
};

/** A public key that is not one of a NATS user. */
export class InvalidNkey extends Error {
  override readonly name = "InvalidNkey";
}

// Servers take the younger of two claims; what never changes must lose against what was pushed.
const preloadedAt = 1;
const open = { subs: -1, data: -1, payload: -1 };

export function natsIdentity(keys: NatsKeys, clock: Pick<Clock, "now"> = systemClock): NatsIdentity {
  const operator = openNatsKey(keys.operator);
  const system = openNatsKey(keys.systemAccount);
  const hub = openNatsKey(keys.hubAccount);
  const hubSigning = openNatsKey(keys.hubSigning);
  const agents = openNatsKey(keys.agentsAccount);
  const agentsSigning = openNatsKey(keys.agentsSigning);
  const hubUser = openNatsKey(keys.hubUser).id;
  const systemUser = openNatsKey(keys.systemUser).id;
  const nowSeconds = (): number => Math.floor(clock.now() / 1000);
  const agentsJwt = (revocations: ReadonlyMap<string, number>, iat: number): string =>
    mint(
      { sub: agents.id, name: "PLB_AGENTS", iat, nats: agentsAccount(hub.id, agentsSigning.id, revocations) },
      operator,
    );
  const preload = (
    sub: string,
    name: string,
    nats: Parameters<typeof mint>[0]["nats"],
  ): { id: string; jwt: string } => ({
    id: sub,
    jwt: mint({ sub, name, iat: preloadedAt, nats }, operator),
  });

  return {
    operatorJwt: mint(
      { sub: operator.id, name: "plumbline", iat: preloadedAt, nats: { type: "operator", system_account: system.id } },
      operator,
    ),
    systemAccount: system.id,
    accounts: [
      preload(system.id, "PLB_SYSTEM", systemAccount),
      preload(hub.id, "PLB_HUB", hubAccount(hubSigning.id)),
      { id: agents.id, jwt: agentsJwt(new Map(), preloadedAt) },
    ],
    streamsAccount: hub.id,
    hubUser: {
      jwt: mint(
        { sub: hubUser, name: "hub", iat: nowSeconds(), nats: { type: "user", issuer_account: hub.id, ...open } },
        hubSigning,
      ),
      seed: keys.hubUser,
    },
    systemUser: {
      jwt: mint(
        { sub: systemUser, name: "hub", iat: nowSeconds(), nats: { type: "user", ...open, ...onlyClaims } },
        system,
      ),
      seed: keys.systemUser,
    },
    agentJwt(cluster, nkey, notAfterMs) {
      const user = userKey(nkey);
      // A scoped user carries no permission of its own; the account's template holds them all.
      const nats = { type: "user", issuer_account: agents.id } as const;
      const exp = Math.floor(notAfterMs / 1000);
      return mint({ sub: user, name: cluster, iat: nowSeconds(), exp, nats }, agentsSigning);
    },
    agentsAccountJwt: (revocations) => agentsJwt(revocations, nowSeconds()),
  };
}

/** The system account could stop servers and read every account; the hub only ever pushes claims. */
const onlyClaims = {
  pub: { allow: ["$SYS.REQ.CLAIMS.UPDATE"] },
  sub: { allow: ["_INBOX.>"] },
};

function userKey(nkey: string): string {
  try {
    if (nkey.startsWith("U") && fromPublic(nkey).getPublicKey() === nkey) return nkey;
  } catch (cause) {
    throw new InvalidNkey("the nkey is not the public key of a NATS user", { cause });
  }
  throw new InvalidNkey("the nkey is not the public key of a NATS user");
}
