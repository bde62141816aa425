import type { HookPhase } from "#proto/hooks.ts";
import { refKey, refOf, type KubeObject } from "#proto/object.ts";
import { place } from "./place.ts";

type Sort = {
  readonly annotations: Readonly<Record<string, string>>;
  /** When it runs, however new its Application is. */
  readonly phases: readonly HookPhase[];
  readonly kind: "Job" | "ConfigMap";
};

/** Hooks that an Application may have, of three dialects; one of each at the most. */
const sorts = {
  around: {
    annotations: { "helm.sh/hook": "pre-install,pre-upgrade,pre-delete" },
    phases: ["pre", "delete"],
    kind: "Job",
  },
  before: {
    annotations: { "argocd.argoproj.io/hook": "PreSync", "argocd.argoproj.io/hook-delete-policy": "HookSucceeded" },
    phases: ["pre"],
    kind: "Job",
  },
  beside: { annotations: { "argocd.argoproj.io/hook": "Sync" }, phases: ["sync"], kind: "ConfigMap" },
  after: { annotations: { "plumbline.dev/hook": "post" }, phases: ["post"], kind: "Job" },
  failure: { annotations: { "plumbline.dev/hook": "fail" }, phases: ["fail"], kind: "ConfigMap" },
  gone: { annotations: { "helm.sh/hook": "post-delete" }, phases: ["deleted"], kind: "Job" },
  /** Fails, after all others of its phase. */
  broken: { annotations: { "plumbline.dev/hook": "pre", "plumbline.dev/wave": "1" }, phases: ["pre"], kind: "Job" },
} as const satisfies Readonly<Record<string, Sort>>;

export type HookName = keyof typeof sorts;
export const hookNames = Object.keys(sorts) as HookName[];
export const phasesOf = (name: HookName): readonly HookPhase[] => sorts[name].phases;

export function hookOf(application: string, name: HookName, level: number): KubeObject {
  const { annotations, kind } = sorts[name];
  const metadata = { name: `${application}-${name}`, namespace: place, annotations: { ...annotations } };
  if (kind === "ConfigMap") return { apiVersion: "v1", kind, metadata, data: { level: `${level}` } };
  const containers = [{ name: "main", image: `registry.example/${name}:${level}` }];
  return {
    apiVersion: "batch/v1",
    kind,
    metadata,
    spec: { template: { spec: { restartPolicy: "Never", containers } } },
  };
}

export const hookKeyOf = (application: string, name: HookName): string => refKey(refOf(hookOf(application, name, 0)));

/** For which digest and phase a hook's object was made: "<digest>/<phase>". */
export const runOf = ({ metadata }: KubeObject): string | undefined => metadata.annotations?.["plumbline.dev/hook-run"];
