import type { KubeObject } from "#proto/object.ts";

/**
 * When a hook runs: before the objects of its bundle, with them, after they are healthy, after an apply that failed,
 * before a Removal deletes, after it has.
 */
export type HookPhase = "pre" | "sync" | "post" | "fail" | "delete" | "deleted";

/** An object that is no part of what runs: applied at its phases, once for each digest. */
export type Hook = {
  /** Empty: it is never applied. `on`: whether only where the Application is new, or only where it is not. */
  readonly phases: readonly { readonly phase: HookPhase; readonly on: "any" | "install" | "upgrade" }[];
  /** Lower ones first. */
  readonly weight: number;
  /** When what a hook made is deleted: before it is made again, once its phase succeeded, once it failed. */
  readonly deleted: { readonly before: boolean; readonly succeeded: boolean; readonly failed: boolean };
  /** Words that nobody knows. */
  readonly unknown: readonly string[];
};

type Occasion = Hook["phases"][number];
type Dialect = {
  readonly annotation: string;
  readonly policy: string;
  readonly weights: readonly string[];
  /** None: known, and no occasion here. */
  readonly words: Readonly<Record<string, Occasion | "never">>;
};

const any = (phase: HookPhase): Occasion => ({ phase, on: "any" });

/** The first annotation that an object has says all. */
const dialects: readonly Dialect[] = [
  {
    annotation: "plumbline.dev/hook",
    policy: "plumbline.dev/hook-delete-policy",
    weights: ["plumbline.dev/wave"],
    words: { pre: any("pre"), post: any("post"), fail: any("fail"), delete: any("delete") },
  },
  {
    annotation: "argocd.argoproj.io/hook",
    policy: "argocd.argoproj.io/hook-delete-policy",
    weights: ["argocd.argoproj.io/sync-wave", "helm.sh/hook-weight"],
    words: {
      PreSync: any("pre"),
      Sync: any("sync"),
      PostSync: any("post"),
      SyncFail: any("fail"),
      PreDelete: any("delete"),
      PostDelete: any("deleted"),
      Skip: "never",
    },
  },
  {
    annotation: "helm.sh/hook",
    policy: "helm.sh/hook-delete-policy",
    weights: ["helm.sh/hook-weight", "argocd.argoproj.io/sync-wave"],
    words: {
      "pre-install": { phase: "pre", on: "install" },
      "post-install": { phase: "post", on: "install" },
      "pre-upgrade": { phase: "pre", on: "upgrade" },
      "post-upgrade": { phase: "post", on: "upgrade" },
      "pre-delete": any("delete"),
      "post-delete": any("deleted"),
      // To go back is to apply an older revision: an upgrade.
      "pre-rollback": "never",
      "post-rollback": "never",
      test: "never",
      "test-success": "never",
      "test-failure": "never",
    },
  },
];

// Helm's words and Argo CD's, which mean the same.
const before = new Set(["before-hook-creation", "BeforeHookCreation"]);
const succeeded = new Set(["hook-succeeded", "HookSucceeded"]);
const failed = new Set(["hook-failed", "HookFailed"]);

/** An object with this annotation is created where it is absent, and never updated; it stays outside the digest. */
export const onceAnnotation = "plumbline.dev/apply";

export const isOnce = ({ metadata }: KubeObject): boolean => metadata.annotations?.[onceAnnotation] === "once";

/** The hook that an object is; undefined for all that runs. What is created once is no hook, whatever else it says. */
export function hookOf(object: KubeObject): Hook | undefined {
  const annotations = object.metadata.annotations ?? {};
  const dialect = dialects.find(({ annotation }) => typeof annotations[annotation] === "string");
  if (dialect === undefined || isOnce(object)) return undefined;
  const words = wordsOf(annotations[dialect.annotation]);
  // Of Helm 2; such a CRD is one like any other.
  if (words.length === 0 || words.includes("crd-install")) return undefined;
  const policies = wordsOf(annotations[dialect.policy]);
  const known = (word: string): Occasion | "never" | undefined =>
    Object.hasOwn(dialect.words, word) ? dialect.words[word] : undefined;
  const weight = dialect.weights.map((name) => annotations[name]).find((text) => text !== undefined);
  return {
    phases: words.map(known).filter((occasion) => occasion !== undefined && occasion !== "never"),
    weight: weight !== undefined && /^-?\d{1,9}$/.test(weight.trim()) ? Number(weight) : 0,
    deleted: {
      before: policies.length === 0 || policies.some((word) => before.has(word)),
      succeeded: policies.some((word) => succeeded.has(word)),
      failed: policies.some((word) => failed.has(word)),
    },
    unknown: [
      ...words.filter((word) => known(word) === undefined),
      ...policies.filter((word) => !before.has(word) && !succeeded.has(word) && !failed.has(word)),
    ],
  };
}

/** A hook that must never be made with its bundle: what knows no hooks would make it, and so take the Application down. */
export const isLeavingHook = (object: KubeObject): boolean =>
  hookOf(object)?.phases.some(({ phase }) => phase === "delete" || phase === "deleted") === true;

const wordsOf = (text: string | undefined): string[] =>
  (text ?? "")
    .split(",")
    .map((word) => word.trim())
    .filter(Boolean);
