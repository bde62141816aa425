import { expect, test } from "vitest";
import { hookOf, isLeavingHook } from "#proto/hooks.ts";

const object = (annotations: Record<string, string>) => ({
  apiVersion: "batch/v1",
  kind: "Job",
  metadata: { name: "migrate", annotations },
});
const phasesOf = (annotations: Record<string, string>): string[] | undefined =>
  hookOf(object(annotations))?.phases.map(({ phase, on }) => (on === "any" ? phase : `${phase} on ${on}`));

const cases: [Record<string, string>, string[] | undefined][] = [
  [{}, undefined],
  [{ "helm.sh/hook": "" }, undefined],
  [{ "helm.sh/hook": "pre-install" }, ["pre on install"]],
  [{ "helm.sh/hook": "pre-install, post-upgrade" }, ["pre on install", "post on upgrade"]],
  [{ "helm.sh/hook": "pre-delete,post-delete" }, ["delete", "deleted"]],
  [{ "helm.sh/hook": "post-rollback,test" }, []],
  [{ "helm.sh/hook": "crd-install" }, undefined],
  [{ "argocd.argoproj.io/hook": "PreSync" }, ["pre"]],
  [
    { "argocd.argoproj.io/hook": "Sync,PostSync,SyncFail,PreDelete,PostDelete" },
    ["sync", "post", "fail", "delete", "deleted"],
  ],
  [{ "argocd.argoproj.io/hook": "Skip" }, []],
  [{ "plumbline.dev/hook": "pre,post,fail,delete" }, ["pre", "post", "fail", "delete"]],
  [{ "plumbline.dev/hook": "post", "argocd.argoproj.io/hook": "PreSync", "helm.sh/hook": "pre-install" }, ["post"]],
  [{ "plumbline.dev/hook": "constructor" }, []],
  [{ "helm.sh/hook": "pre-install", "plumbline.dev/apply": "once" }, undefined],
];
test.each(cases)("%j runs at %j", (annotations, phases) => {
  expect(phasesOf(annotations)).toEqual(phases);
});

test("reads weights and delete policies in each dialect, and says which words nobody knows", () => {
  const helm = { "helm.sh/hook": "pre-install", "helm.sh/hook-weight": "-5" };
  expect(hookOf(object(helm))).toMatchObject({
    weight: -5,
    deleted: { before: true, succeeded: false, failed: false },
  });
  expect(hookOf(object({ ...helm, "helm.sh/hook-delete-policy": "hook-succeeded, hook-failed" }))).toMatchObject({
    deleted: { before: false, succeeded: true, failed: true },
    unknown: [],
  });
  const argo = { "argocd.argoproj.io/hook": "PreSync", "argocd.argoproj.io/sync-wave": "3" };
  expect(hookOf(object({ ...argo, "argocd.argoproj.io/hook-delete-policy": "HookSucceeded" }))).toMatchObject({
    weight: 3,
    deleted: { before: false, succeeded: true },
  });
  expect(hookOf(object({ "helm.sh/hook": "pre-instal", "helm.sh/hook-delete-policy": "never" }))?.unknown).toEqual([
    "pre-instal",
    "never",
  ]);
});

test("a hook that is for leaving too counts as one of those", () => {
  expect(isLeavingHook(object({ "helm.sh/hook": "post-install,pre-delete" }))).toBe(true);
  expect(isLeavingHook(object({ "helm.sh/hook": "post-install" }))).toBe(false);
});
