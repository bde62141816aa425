import type { Actions } from "#hub/api/actions.ts";
import { kinds } from "#hub/fleet/kinds/kinds.ts";
import { clusterId, isDnsLabel } from "#proto/ids.ts";
import { joinTokenLifeMs, mintJoinToken, tenantBytes, tenantBytesLimit } from "#proto/token.ts";
import { changeFleet } from "./change-fleet.ts";
import { joinOf } from "./join.ts";
import type { ActionParts } from "./parts.ts";
import { refuse } from "./refusal.ts";

/** Declares a cluster, unless it is declared, and gives a token with which its agent joins once. */
export const createRegister =
  (parts: ActionParts): Actions["register"] =>
  async (actor, { name, labels, tenant }) => {
    const { identity, fleetSource, clock, records } = parts;
    if (!isDnsLabel(name))
      return refuse(
        400,
        `${name} cannot be a cluster's name`,
        "use lower-case letters, digits and hyphens, at most 63",
      );
    if (tenant !== undefined && tenantBytes(tenant) > tenantBytesLimit)
      return refuse(
        400,
        `the tenant's namespaces, kinds and ServiceAccounts are ${tenantBytes(tenant)} bytes, at most ${tenantBytesLimit} fit into a join token`,
        "list fewer, or widen the limits and Roles on the cluster itself: docs/authority.md",
      );
    const cluster = clusterId(name);
    await records.load();
    const record = records.now().clusters.get(cluster);
    if (record !== undefined)
      return refuse(
        409,
        `${name} has ${record.revoked ? "been revoked" : "joined already"}`,
        "a name is used once: register another",
      );
    const document = { apiVersion: "plumbline.dev/v1", kind: "Cluster", metadata: { name, labels } };
    const checked = kinds.Cluster.safeParse(document);
    if (!checked.success) return refuse(400, `a label is not valid: ${checked.error.issues[0]?.message ?? ""}`, "");
    const path = `${parts.folder}/clusters/${name}.yaml`;
    const known = parts.fleet().clusters.get(cluster);
    const outcome =
      known === undefined
        ? await changeFleet(parts, actor, () => ({
            path,
            document,
            subject: `register ${name}`,
            reason: "",
            value: {},
          }))
        : ({ ok: true, commit: fleetSource.head(parts.branch) ?? "", file: known.file } as const);
    if (!outcome.ok) return outcome;
    const token = mintJoinToken(cluster, identity.tokenSecret, clock.now(), tenant);
    const { command, paste } = joinOf(parts, token, tenant);
    const expiresAt = new Date(clock.now() + joinTokenLifeMs).toISOString();
    return {
      ok: true,
      cluster: name,
      commit: outcome.commit,
      file: outcome.file,
      joinCommand: command,
      paste,
      expiresAt,
    };
  };
