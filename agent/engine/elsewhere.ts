import type { ApplicationName } from "#proto/ids.ts";
import { bundleOf, entryOf, newestBundle, type ApplicationState, type Model } from "./model.ts";

/**
 * Applications that run what this one owns, and do not own it yet. Forgotten before they do, it would be nobody's if a
 * newer document let them drop it.
 */
export function takersOf(model: Model, application: ApplicationState): Set<ApplicationName> {
  const { ownedElsewhere } = elsewhere(model, application);
  const moving = [...application.head!.inventory.keys()].filter((key) => !ownedElsewhere.has(key));
  const others = [...model.applications.values()].filter((other) => other !== application);
  const takers = others.filter((other) => moving.some((key) => newestBundle(model, other)?.keys.has(key) === true));
  return new Set(takers.map(({ name }) => name));
}

/** What other Applications here want or own. Held and absent ones keep all of their inventory. */
export function elsewhere(
  model: Model,
  application: ApplicationState,
): { wantedElsewhere: Set<string>; ownedElsewhere: Set<string> } {
  const others = [...model.applications.values()].filter((other) => other !== application);
  const confirmed = others.flatMap((other) =>
    [...(other.head?.inventory ?? [])].flatMap(([key, { baseline }]) =>
      baseline !== null && isLeftTo(model, other, key, application) ? [key] : [],
    ),
  );
  return {
    wantedElsewhere: new Set(others.flatMap((other) => [...(newestBundle(model, other)?.keys ?? [])])),
    ownedElsewhere: new Set(confirmed),
  };
}

/**
 * Whether what two own may be left to `other`: it keeps what it has, or wants it, or is the one of two that prunes it. Each
 * leaving it to the other would leave it for ever.
 */
function isLeftTo(model: Model, other: ApplicationState, key: string, application: ApplicationState): boolean {
  const kind = entryOf(model, other.name)?.kind ?? "hold";
  if (kind === "remove") return false;
  return kind === "hold" || newestBundle(model, other)?.keys.has(key) === true || other.name < application.name;
}

/** An Application that runs here by the newest document, and whose objects are not known. */
export function unknownBundle(model: Model, application: ApplicationState): string | undefined {
  const entries = model.document?.state.entries ?? [];
  const unknown = entries.find((entry) => {
    if (entry.kind !== "run" || entry.application === application.name) return false;
    const other = model.applications.get(entry.application);
    return other === undefined || bundleOf(other, entry) === undefined;
  });
  return unknown?.application;
}
