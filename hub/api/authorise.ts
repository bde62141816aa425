import { createHash, timingSafeEqual } from "node:crypto";
import type { Fleet, Role } from "#hub/fleet/fleet.ts";

/** Who asks, with what the fleet's Access documents give them. */
export type Actor = { readonly name: string; readonly roles: readonly Role[] };

export type Verb = "read" | "read-charts" | "register" | "revoke" | "promote" | "remove" | "accept-rewrite";
/** What it is about; an environment narrows what a promoter may do. */
export type Resource = { readonly environment?: string };

export type Decision = { readonly allowed: true } | { readonly allowed: false; readonly because: string };

const rolesFor: Readonly<Record<Verb, readonly Role["role"][]>> = {
  read: ["viewer", "promoter", "approver", "operator", "admin"],
  // As they lie in their repositories: what a template makes a Secret of stands there in the clear.
  "read-charts": ["promoter", "operator", "admin"],
  promote: ["promoter", "operator", "admin"],
  remove: ["operator", "admin"],
  "accept-rewrite": ["operator", "admin"],
  register: ["admin"],
  revoke: ["admin"],
};

/** What a promoter may do in some environments only. */
const ofOneEnvironment: ReadonlySet<Verb> = new Set(["promote"]);

/** The one door: every route asks here. */
export function authorise(actor: Actor, verb: Verb, resource: Resource = {}): Decision {
  const isEnough = (role: Role): boolean =>
    rolesFor[verb].includes(role.role) &&
    (role.role !== "promoter" || !ofOneEnvironment.has(verb) || isWithin(role.environments, resource.environment));
  if (actor.roles.some(isEnough)) return { allowed: true };
  const where = resource.environment === undefined ? "" : ` in ${resource.environment}`;
  return {
    allowed: false,
    because: `${actor.name} may not ${verb}${where}: it needs the role ${rolesFor[verb].join(" or ")}`,
  };
}

const isWithin = (environments: readonly string[], environment: string | undefined): boolean =>
  environment !== undefined && environments.includes(environment);

/** The holder of a bearer token, by its SHA-256 in an Access document. */
export function actorOf(fleet: Fleet, token: string): Actor | undefined {
  const hash = createHash("sha256").update(token).digest();
  const tokens = [...fleet.access.values()].flatMap(({ tokens }) => tokens);
  const found = tokens.find(({ sha256 }) => timingSafeEqual(Buffer.from(sha256, "hex"), hash));
  return found === undefined ? undefined : { name: found.name, roles: found.roles };
}
