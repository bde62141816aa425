import { stringify } from "yaml";
import type { Outcome } from "#hub/api/actions.ts";
import type { Actor } from "#hub/api/authorise.ts";
import type { Fleet } from "#hub/fleet/fleet.ts";
import { describeStop } from "#hub/loop/stops.ts";
import type { ActionParts } from "./parts.ts";
import { refuse, type Refusal } from "./refusal.ts";

const pushTries = 5;

/** One document of the fleet repository, written or taken away. */
export type Change<Value> = {
  readonly path: string;
  readonly document: object | null;
  readonly subject: string;
  readonly reason: string;
  readonly value: Value;
};

/** Commits on top of whatever `main` is, checking again each time it has moved. */
export async function changeFleet<Value>(
  parts: ActionParts,
  actor: Actor,
  compute: (fleet: Fleet) => Change<Value> | Refusal,
): Promise<Outcome<Value & { commit: string; file: string }>> {
  const { fleetSource } = parts;
  for (let attempt = 1; attempt <= pushTries; attempt += 1) {
    // Before the fleet is read: what was pushed since it was is not written over, and the push tells.
    const expect = fleetSource.head(parts.branch);
    await parts.refresh();
    const stop = fleetSource.stops().find((stop) => stop.branch === parts.branch);
    // A commit on top of a history that nobody accepted would accept it.
    if (stop !== undefined)
      return refuse(
        409,
        describeStop(stop),
        `plumb accept-rewrite ${fleetSource.name} ${parts.branch}, or push back what was there`,
      );
    const computed = compute(parts.fleet());
    if ("ok" in computed) return computed;
    const { path, document, subject, reason, value } = computed;
    const trailers = [
      `Plumbline-Actor: ${actor.name}`,
      ...(reason === "" ? [] : [`Plumbline-Reason: ${oneLine(reason)}`]),
    ];
    const pushed = await fleetSource.commit(
      {
        branch: parts.branch,
        expect,
        files: new Map([[path, document === null ? null : stringify(document)]]),
        message: `${subject}\n\n${trailers.join("\n")}\n`,
      },
      parts.signer,
    );
    if (pushed.kind === "pushed") {
      await parts.refresh();
      return { ok: true, ...value, commit: pushed.commit, file: path };
    }
    if (pushed.kind === "declined")
      return refuse(
        409,
        `${parts.branch} does not take the hub's commit: ${pushed.because}`,
        `commit ${path} yourself, or let the hub push`,
      );
    await fleetSource.following.look();
  }
  return refuse(503, `${parts.branch} keeps moving`, "try again");
}

const oneLine = (text: string): string => text.replaceAll(/\s+/g, " ").trim();
