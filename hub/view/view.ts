import {
  DriftState,
  type ApplicationStatus,
  type Drift,
  type Event,
  type Hello,
} from "#proto/gen/plumbline/agent/v1/agent.ts";
import type { ClusterId } from "#proto/ids.ts";

/** Episodes kept for looking back; the whole ledger is in the event stream. */
const keptEpisodes = 5_000;
const keptHappenings = 5_000;

export type SeenStatus = { readonly status: ApplicationStatus; readonly atMs: number };

export type SeenDrift = {
  readonly cluster: ClusterId;
  readonly application: string;
  readonly environment: string;
  readonly drift: Drift;
  readonly atMs: number;
};

export type Happening = {
  readonly cluster: ClusterId;
  readonly atMs: number;
  readonly event: Event;
};

export type SeenCluster = {
  /** The hub's own time of the last message; undefined: not heard by this process. */
  heardAtMs: number | undefined;
  connected: boolean;
  kubernetes: string;
  agent: string;
  readonly applications: Map<string, SeenStatus>;
};

/** What agents said, folded: the newest status of each Application, drift by episode, and what happened lately. */
export class View {
  readonly clusters = new Map<ClusterId, SeenCluster>();
  readonly #episodes = new Map<string, SeenDrift>();
  readonly #happenings: Happening[] = [];
  readonly #listeners = new Set<(happening: Happening) => void>();

  hello(cluster: ClusterId, hello: Hello, atMs: number): void {
    const seen = this.#cluster(cluster);
    seen.connected = true;
    seen.heardAtMs = atMs;
    seen.kubernetes = hello.kubernetesVersion;
    seen.agent = hello.agentVersion;
  }

  heard(cluster: ClusterId, atMs: number): void {
    this.#cluster(cluster).heardAtMs = atMs;
  }

  gone(cluster: ClusterId): void {
    this.#cluster(cluster).connected = false;
  }

  status(cluster: ClusterId, status: ApplicationStatus, atMs: number): void {
    this.#cluster(cluster).applications.set(status.application, { status, atMs });
  }

  /** A full report ended: what it did not name does not exist there. Gives the names that were dropped. */
  keepOnly(cluster: ClusterId, named: ReadonlySet<string>): string[] {
    const { applications } = this.#cluster(cluster);
    const dropped = [...applications.keys()].filter((name) => !named.has(name));
    for (const name of dropped) applications.delete(name);
    return dropped;
  }

  event(cluster: ClusterId, event: Event, atMs: number): void {
    const { body, application, environment } = event;
    if (body?.$case === "drift") {
      const { value: drift } = body;
      const before = this.#episodes.get(drift.episode)?.drift;
      // The end of an episode has no fields of its own: it ends what was seen.
      const whole =
        drift.state === DriftState.ENDED && before !== undefined
          ? { ...before, state: drift.state, reason: drift.reason }
          : drift;
      this.#episodes.delete(drift.episode);
      this.#episodes.set(drift.episode, { cluster, application, environment, drift: whole, atMs });
      if (this.#episodes.size > keptEpisodes) this.#episodes.delete(this.#episodes.keys().next().value!);
    }
    const happening = { cluster, atMs, event };
    this.#happenings.push(happening);
    if (this.#happenings.length > keptHappenings) this.#happenings.shift();
    for (const listener of this.#listeners) listener(happening);
  }

  /** Newest last. */
  episodes(): SeenDrift[] {
    return [...this.#episodes.values()];
  }

  /** Newest last. */
  happenings(): readonly Happening[] {
    return this.#happenings;
  }

  /** Calls `listener` with each event from now on, until the returned function is called. */
  listen(listener: (happening: Happening) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  statuses(cluster: ClusterId): ApplicationStatus[] {
    return [...this.#cluster(cluster).applications.values()].map(({ status }) => status);
  }

  #cluster(cluster: ClusterId): SeenCluster {
    const known = this.clusters.get(cluster);
    if (known !== undefined) return known;
    const fresh = { heardAtMs: undefined, connected: false, kubernetes: "", agent: "", applications: new Map() };
    this.clusters.set(cluster, fresh);
    return fresh;
  }
}
