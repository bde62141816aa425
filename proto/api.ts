/** What the hub's HTTP API answers, as JSON. Times are RFC 3339 in UTC; ages are milliseconds at the moment of the answer. */

export type HealthWord = "Current" | "InProgress" | "Failed" | "Terminating" | "NotFound" | "Unknown";

/** How many clusters are at each health. */
export type HealthCounts = Readonly<Record<HealthWord, number>>;

export type StatusRow = {
  readonly environment: string;
  readonly application: string;
  /** Revisions that run, most clusters first. */
  readonly revisions: readonly { readonly revision: string; readonly clusters: number }[];
  /** Clusters that this row is for, and of them those that said: applied and Current. */
  readonly clusters: number;
  readonly settled: number;
  readonly health: HealthCounts;
  readonly drifted: number;
  /** By what it is rendered, and why so: "kustomize (render: auto found ...)"; empty while nothing was. */
  readonly rendered: string;
  /** Sentences: what is waited for, refused or wrong. */
  readonly reasons: readonly string[];
  /** What its manifests hold that is probably a mistake, by file, line and field; it is run all the same. */
  readonly warnings: readonly string[];
};

export type StatusAnswer = {
  readonly fleetCommit: string;
  readonly environments: number;
  readonly applications: number;
  readonly clusters: number;
  /** Clusters heard within three heartbeats. */
  readonly heard: number;
  readonly rows: readonly StatusRow[];
  /** Fleet documents that cannot be read, one line each. */
  readonly problems: readonly string[];
  /** Branches that went back or were rewritten, repositories that do not answer. */
  readonly alarms: readonly string[];
};

export type ClusterRow = {
  readonly cluster: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly state: "Declared" | "Connected" | "Silent" | "Revoked" | "Undeclared";
  /** Milliseconds since it was last heard; null: never by this hub. */
  readonly heardAgoMs: number | null;
  readonly kubernetes: string;
  readonly agent: string;
  readonly applications: number;
  readonly objects: number;
  readonly health: HealthWord;
  readonly drifted: number;
};

export type ObjectRow = {
  readonly object: string;
  readonly health: HealthWord;
  readonly reason: string;
  readonly drifted: boolean;
};

/** What could not be applied. */
export type ProblemRow = {
  readonly object: string;
  /** Kubernetes' reason, or a word of ours. */
  readonly reason: string;
  readonly message: string;
  /** Milliseconds until it is tried again; null: not before another revision, or another document. */
  readonly nextTryInMs: number | null;
};

export type ClusterApplication = {
  readonly application: string;
  readonly environment: string;
  readonly revision: string;
  readonly digest: string;
  readonly phase: string;
  readonly health: HealthWord;
  readonly reason: string;
  readonly objects: number;
  readonly current: number;
  readonly drifted: number;
  readonly reportedAgoMs: number;
  readonly exceptional: readonly ObjectRow[];
  readonly problems: readonly ProblemRow[];
};

export type ClusterAnswer = ClusterRow & { readonly running: readonly ClusterApplication[] };

export type DriftRow = {
  readonly episode: string;
  readonly cluster: string;
  readonly environment: string;
  readonly application: string;
  readonly object: string;
  readonly kind: "changed" | "deleted" | "label removed" | "replaced";
  readonly state: "seen" | "healed" | "contested" | "ended";
  readonly fields: readonly { readonly path: string; readonly before: string; readonly after: string }[];
  /** Field manager: a tool's own claim, never a user. */
  readonly tool: string;
  readonly changedAt: string | null;
  readonly seenAt: string;
  readonly healedAt: string | null;
  readonly healedInMs: number | null;
  readonly reason: string;
};

export type HistoryRow = {
  readonly at: string;
  readonly cluster: string;
  readonly environment: string;
  readonly application: string;
  readonly what: string;
  readonly text: string;
};

/** Who made a commit, as far as it is proved. */
export type Promoter =
  /** Asked through the API, which knows its callers; or signed with the key of a Signer of this name. */
  | { readonly kind: "known"; readonly name: string; readonly through: "api" | "signature" }
  /** What the commit says of itself proves nothing. */
  | { readonly kind: "unknown"; readonly claims: string; readonly because: string };

export type CommitRow = {
  readonly commit: string;
  readonly at: string;
  /** What the commit says of itself. */
  readonly author: string;
  readonly promoter: Promoter;
  readonly subject: string;
};

export type HistoryAnswer = { readonly commits: readonly CommitRow[]; readonly events: readonly HistoryRow[] };

/** One step of a causal chain. `about` names the kind of step: commit, promotion, gate, document, applied, health, drift, ... */
export type WhyLine = { readonly about: string; readonly text: string };

/** Why an Application, or one object of it, is as it is on a cluster, and what happens next. */
export type WhyAnswer = {
  /** Empty when a whole environment was asked about and no cluster is in it. */
  readonly cluster: string;
  readonly environment: string;
  readonly application: string;
  /** As "Deployment shop/web"; empty when the whole Application was asked about. */
  readonly object: string;
  /** Wanted here; empty when nothing is. */
  readonly revision: string;
  readonly health: HealthWord;
  readonly summary: string;
  /** From the commit to what is seen, in this order. */
  readonly lines: readonly WhyLine[];
  readonly next: string;
  /** Ready to run; empty when there is nothing to do. */
  readonly commands: readonly string[];
};

export type RegisterAnswer = {
  readonly cluster: string;
  readonly commit: string;
  readonly file: string;
  /** Ready to run where the new cluster can be reached. */
  readonly joinCommand: string;
  /** Manifests for `kubectl apply -f -`. */
  readonly paste: string;
  readonly expiresAt: string;
};

export type ChangeAnswer = { readonly commit: string; readonly file: string };

/** A branch, or a tag as `refs/tags/NAME`, goes on from another history; `to` is "" for a tag that is gone. */
export type RewriteAnswer = ChangeAnswer & { readonly branch: string; readonly from: string; readonly to: string };

/** The objects of one Application for one cluster, as they are rendered. The hub takes out the values of Secrets. */
export type RenderedAnswer = {
  readonly application: string;
  readonly environment: string;
  readonly cluster: string;
  readonly revision: string;
  readonly digest: string;
  /** Which, and why that one. */
  readonly renderer: string;
  readonly objects: readonly object[];
};

export type ErrorAnswer = {
  readonly error: { readonly message: string; /** What to do next; may be empty. */ readonly do: string };
};
