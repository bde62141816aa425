import type { Actions } from "#hub/api/actions.ts";
import { describeFollow } from "#hub/decide/inputs.ts";
import type { Fleet } from "#hub/fleet/fleet.ts";
import type { RecordStore } from "#hub/loop/records.ts";
import type { Revision } from "#proto/ids.ts";
import { changeFleet } from "./change-fleet.ts";
import { findRevision } from "./find-revision.ts";
import type { ActionParts } from "./parts.ts";
import { refuse, type Refusal } from "./refusal.ts";

export const provedLooks = 10;
export const provedLookMs = 200;

/** A Promotion of the revision that is named, or of the newest that was proved before this environment. */
export const createPromote =
  (parts: ActionParts): Actions["promote"] =>
  async (actor, { environment, application, revision, reason, allowPrune }) => {
    const source = parts.sourceOf(application);
    if (source === undefined)
      return refuse(404, `there is no application ${application}`, "plumb status shows those there are");
    const asked = revision ?? (await provedSoon(parts, environment, application));
    if (asked === undefined)
      return (
        notPromotable(parts.fleet(), environment, application) ??
        refuse(
          409,
          `no revision of ${application} has been proved before ${environment}`,
          "wait for the environment before it, or name a revision",
        )
      );
    const found = await findRevision(source, asked, parts.clock);
    if (found === undefined)
      return refuse(
        404,
        `${asked} is no commit of ${application}'s repository${afterThat(source.problem())}`,
        "push it first, or name more digits",
      );
    return changeFleet<{ revision: Revision }>(parts, actor, (fleet) => {
      const refused = notPromotable(fleet, environment, application);
      if (refused !== undefined) return refused;
      const spec = {
        environment,
        application,
        revision: found,
        ...(reason === "" ? {} : { reason }),
        ...(allowPrune === undefined ? {} : { allowPrune }),
      };
      const document = { apiVersion: "plumbline.dev/v1", kind: "Promotion", metadata: { name: application }, spec };
      const before = fleet.promotions.get(`${environment}/${application}`);
      const path = before?.file ?? `${parts.folder}/promotions/${environment}/${application}.yaml`;
      return {
        path,
        document,
        subject: `promote ${application} ${found.slice(0, 7)} to ${environment}`,
        reason,
        value: { revision: found },
      };
    });
  };

const afterThat = (problem: string): string => (problem === "" ? "" : `, which cannot be reached now: ${problem}`);

/** Why nothing can be promoted there, whatever the revision. */
function notPromotable(fleet: Fleet, environment: string, application: string): Refusal | undefined {
  const target = [...fleet.environments.values()].find(({ name }) => name === environment);
  const app = [...fleet.applications.values()].find(({ name }) => name === application);
  if (target === undefined)
    return refuse(404, `there is no environment ${environment}`, "plumb status shows those there are");
  if (app?.environments.includes(target.name) !== true)
    return refuse(
      409,
      `${application} is not delivered to ${environment}`,
      "add it to the Application's environments first",
    );
  if ("follow" in target.revisions)
    return refuse(
      409,
      `${environment} follows ${describeFollow(target.revisions.follow)}: it takes no promotions`,
      "change what it follows, in Git, instead",
    );
  return undefined;
}

/**
 * A person who saw the environment before turn green asks at once; its receipts arrive within the second. Until then what
 * was proved last may be what is promoted already, and is not what they mean.
 */
async function provedSoon(parts: ActionParts, environment: string, application: string): Promise<string | undefined> {
  const before = parts.fleet().promotions.get(`${environment}/${application}`)?.revision;
  for (let look = 0; ; look += 1) {
    await parts.round();
    const found = newestQualified(parts.fleet(), parts.records, environment, application);
    if ((found !== undefined && found !== before) || look === provedLooks) return found;
    await parts.clock.sleep(provedLookMs);
  }
}

function newestQualified(
  fleet: Fleet,
  records: RecordStore,
  environment: string,
  application: string,
): string | undefined {
  const target = [...fleet.environments.values()].find(({ name }) => name === environment);
  if (target === undefined || !("promotedFrom" in target.revisions)) return undefined;
  const qualified = target.revisions.promotedFrom.map(
    (from) =>
      records.now().rollouts.find((record) => record.environment === from && record.application === application)
        ?.qualified ?? [],
  );
  const [first = [], ...others] = qualified;
  return first.findLast((revision) => others.every((list) => list.includes(revision)));
}
