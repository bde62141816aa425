import type { Choice } from "#hub/render/choose.ts";
import type { Rendered } from "#hub/render/target.ts";
import { remember } from "#lib/remember.ts";

/** What people are told of a rendering. */
export type Note = {
  /** By what, and why so: a sentence. */
  readonly choice: string;
  /** What it read and is probably a mistake. */
  readonly warnings: readonly string[];
};

/** Sentences of the newest rendering that each Environment asked for. */
export type RenderNotes = {
  keep(job: string, note: Note): void;
  /** One rendering serves every Environment that asks for the same: this one asked now. */
  asked(application: string, environment: string, job: string): void;
  of(application: string, environment: string): Note | undefined;
};

export const noteOf = ({ warnings }: Pick<Rendered, "warnings">, { renderer, because }: Choice): Note => ({
  choice: `${renderer} (${because})`,
  warnings,
});

export function createNotes(most: number): RenderNotes {
  const ofJobs = new Map<string, Note>();
  const ofPlaces = new Map<string, Note>();
  const placeOf = (application: string, environment: string): string => `${environment}/${application}`;
  return {
    keep: (job, note) => remember(ofJobs, job, note, most),
    asked(application, environment, job) {
      const note = ofJobs.get(job);
      const place = placeOf(application, environment);
      if (note !== undefined && ofPlaces.get(place) !== note) remember(ofPlaces, place, note, most);
    },
    of: (application, environment) => ofPlaces.get(placeOf(application, environment)),
  };
}
