import type { Meter, ObservableResult } from "@opentelemetry/api";
import { isHeard } from "#hub/view/query.ts";
import type { SeenStatus, View } from "#hub/view/view.ts";
import { healthOrder, healthWord, phaseOrder, phaseWord } from "#hub/view/words.ts";
import { Health } from "#proto/gen/plumbline/agent/v1/agent.ts";

export type Observed = {
  readonly view: View;
  readonly sessions: () => number;
  /** Entries that are not where people asked them to be. */
  readonly waiting: () => number;
  /** Fleet documents that are left as they were. */
  readonly problems: () => number;
  readonly nowMs: () => number;
};

/**
 * The fleet in numbers, counted when they are read. No label grows with the fleet, and each value of a label is told each
 * time, also as 0: what is not told again keeps its last number.
 */
export function observeHub(meter: Meter, { view, sessions, waiting, problems, nowMs }: Observed): void {
  const gauge = (name: string, description: string, read: (result: ObservableResult) => void): void =>
    meter.createObservableGauge(name, { description }).addCallback(read);
  const count = (name: string, description: string, read: () => number): void =>
    gauge(name, description, (result) => result.observe(read()));

  count("plumbline_sessions", "Agents that are connected", sessions);
  count("plumbline_waiting", "Entries that are not where Git asks them to be, and wait for something", waiting);
  count("plumbline_fleet_problems", "Fleet documents with a mistake, left as they were", problems);
  gauge("plumbline_clusters", "Clusters that were ever heard, by whether they are now", (result) => {
    const heard = [...view.clusters.values()].filter((seen) => isHeard(seen, nowMs())).length;
    result.observe(heard, { state: "heard" });
    result.observe(view.clusters.size - heard, { state: "silent" });
  });
  gauge("plumbline_applications", "Applications on clusters, by health; Unknown on a silent one", (result) => {
    const words = seenOn(view, nowMs()).map(({ status, heard }) => healthWord(heard ? status.health : Health.UNKNOWN));
    for (const health of healthOrder) result.observe(words.filter((word) => word === health).length, { health });
  });
  gauge("plumbline_application_phases", "Applications on clusters, by the phase that was told last", (result) => {
    const words = seenOn(view, nowMs()).map(({ status }) => phaseWord(status.phase));
    for (const phase of phaseOrder) result.observe(words.filter((word) => word === phase).length, { phase });
  });
  count("plumbline_drifted_objects", "Objects that differ from Git, on clusters that are heard", () =>
    seenOn(view, nowMs()).reduce((sum, { status, heard }) => sum + (heard ? status.drifted : 0), 0),
  );
}

function seenOn(view: View, nowMs: number): (Pick<SeenStatus, "status"> & { heard: boolean })[] {
  return [...view.clusters.values()].flatMap((seen) => {
    const heard = isHeard(seen, nowMs);
    return [...seen.applications.values()].map(({ status }) => ({ status, heard }));
  });
}
