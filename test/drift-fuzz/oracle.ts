import { ApiError } from "#agent/cluster/errors.ts";
import { canonicalJson } from "#proto/json.ts";
import type { KubeObject } from "#proto/object.ts";
import { canonicalFields, changesBetween, ownershipText, ownFields, shapeOf, type Change } from "./difference.ts";
import type { Hand } from "./hand.ts";

/** What a server-side apply of the desired object would do now, as the API server says. */
export type Asked =
  | { readonly kind: "gone" }
  | { readonly kind: "refused"; readonly live: KubeObject; readonly message: string }
  | {
      readonly kind: "answered";
      readonly live: KubeObject;
      readonly answer: KubeObject;
      /** From what is there to what would be, with whether our entry in the answer names the path. */
      readonly changes: readonly Change[];
      /** Whose entries would be others: an apply also takes from others what it writes in another form, as `2000m` for `2`. */
      readonly owners: "same" | "others" | "ours";
    };

export async function ask(hand: Hand, desired: KubeObject, live: KubeObject | undefined): Promise<Asked> {
  if (live === undefined) return { kind: "gone" };
  try {
    const answer = await hand.apply("plumbline", desired, { force: true, dryRun: true });
    const own = canonicalFields(ownFields(answer));
    return {
      kind: "answered",
      live,
      answer,
      changes: changesBetween(live, answer, shapeOf(live, answer), own),
      owners: ownersBetween(live, answer),
    };
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return { kind: "refused", live, message: error.message };
  }
}

function ownersBetween(live: KubeObject, answer: KubeObject): "same" | "others" | "ours" {
  const [now, then] = [live, answer].map((object) => canonicalJson(canonicalFields(ownFields(object))));
  if (now !== then) return "ours";
  return ownershipText(live) === ownershipText(answer) ? "same" : "others";
}
