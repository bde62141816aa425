import type { Telemetry, Traceparent } from "#lib/telemetry.ts";
import type { Revision } from "#proto/ids.ts";

/** Revisions whose traces may still go on; older ones begin a new trace. */
const keptTraces = 1_000;

/** One trace a revision, begun when its commit is seen. */
export class Traces {
  readonly #telemetry: Telemetry;
  readonly #begun = new Map<Revision, Traceparent>();

  constructor(telemetry: Telemetry) {
    this.#telemetry = telemetry;
  }

  async begin(commit: Revision, attributes: { repository: string; branch: string }): Promise<void> {
    if (this.#begun.has(commit)) return;
    await this.#telemetry.traced(
      "hub.commit",
      { attributes: { ...attributes, revision: commit } },
      ({ traceparent }) => {
        this.#begun.set(commit, traceparent);
        return Promise.resolve();
      },
    );
    if (this.#begun.size > keptTraces) this.#begun.delete(this.#begun.keys().next().value!);
  }

  /** The first of these commits that has a trace; empty when none has. */
  of(...commits: readonly (Revision | undefined)[]): Traceparent {
    for (const commit of commits) {
      const found = commit === undefined ? undefined : this.#begun.get(commit);
      if (found !== undefined) return found;
    }
    return "";
  }
}
