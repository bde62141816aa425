import { readFile } from "node:fs/promises";
import type { Actions } from "#hub/api/actions.ts";
import { createDeliveries } from "#hub/git/deliveries.ts";
import { checkWebhook } from "#hub/git/webhook.ts";
import { clusterId, isDnsLabel } from "#proto/ids.ts";
import { checkJoinToken } from "#proto/token.ts";
import { createAcceptRewrite } from "./accept-rewrite.ts";
import { joinOf } from "./join.ts";
import type { ActionParts } from "./parts.ts";
import { createPromote } from "./promote.ts";
import { refuse } from "./refusal.ts";
import { createRegister } from "./register.ts";
import { createRemove } from "./remove.ts";

/** What people do through the API: commits on `main` that the hub signs, with who asked in their trailers. */
export function createActions(parts: ActionParts): Actions {
  const { identity, clock, records } = parts;
  const isHeard = createDeliveries();
  return {
    register: createRegister(parts),
    promote: createPromote(parts),
    remove: createRemove(parts),
    acceptRewrite: createAcceptRewrite(parts),

    async revoke(actor, name, reason) {
      await records.load();
      const cluster = isDnsLabel(name) ? clusterId(name) : undefined;
      const record = cluster && records.now().clusters.get(cluster);
      if (cluster === undefined || record === undefined)
        return refuse(404, `${name} has not joined`, "plumb cluster list shows those that did");
      await records.revoke(cluster, reason === "" ? `revoked by ${actor.name}` : `${reason} (${actor.name})`);
      await parts.revoked(cluster, reason);
      return { ok: true, commit: records.now().commit, file: `clusters/${name}.yaml` };
    },

    paste(cluster, token) {
      const check = checkJoinToken(token, identity.tokenSecret, clock.now());
      if (!check.ok || check.token.cluster !== cluster) return undefined;
      return joinOf(parts, token, check.token.tenant).paste;
    },

    async webhook(repository, headers, body) {
      const source = parts.sourceByName(repository);
      const file = parts.webhookSecretFile(repository);
      if (source === undefined || file === undefined) return { ok: false, because: "no webhook is expected here" };
      const secret = await readFile(file, "utf8").catch(() => undefined);
      if (secret === undefined) return { ok: false, because: "the file of the webhook's secret cannot be read" };
      const check = checkWebhook(headers, body, secret.trim(), clock.now());
      if (!check.ok) return check;
      // Said again, or by somebody who listened: it was looked at.
      if (!isHeard(repository, headers)) source.following.poke();
      return { ok: true, because: "" };
    },
  };
}
