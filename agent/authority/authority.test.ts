import { expect, test } from "vitest";
import { refOf, type KubeObject } from "#proto/object.ts";
import { identityOf, wholeCluster, type Authority } from "./authority.ts";
import { forbiddenWhole, unlimited, type Limits } from "./limits.ts";

const own = "plumbline-agent";
const object = (apiVersion: string, kind: string, namespace: string, name = "x", rest: object = {}): KubeObject => ({
  apiVersion,
  kind,
  metadata: { name, ...(namespace === "" ? {} : { namespace }) },
  ...rest,
});
const rule = (limits: Limits, one: KubeObject): string => forbiddenWhole(limits, own, refOf(one), one) ?? "allowed";
const rbac = "rbac.authorization.k8s.io/v1";
const boundTo = (subject: object) => ({ subjects: [subject] });

test.each([
  ["its namespace's objects", object("v1", "ConfigMap", own), "own namespace"],
  ["its Namespace", object("v1", "Namespace", "", own), "own namespace"],
  ["its ClusterRoleBinding", object(rbac, "ClusterRoleBinding", "", "plumbline-agent"), "own RBAC"],
  ["its Roles elsewhere", object(rbac, "Role", "shop", "plumbline-agent-read"), "own RBAC"],
  ["its definitions", object("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "x.plumbline.dev"), "own"],
  ["an object of its kinds", object("plumbline.dev/v1", "Limits", "shop"), "own"],
  [
    "rights for its ServiceAccount as a user",
    object(
      rbac,
      "ClusterRoleBinding",
      "",
      "x",
      boundTo({ kind: "User", name: `system:serviceaccount:${own}:plumbline-agent` }),
    ),
    "gives rights",
  ],
  [
    "rights for its ServiceAccount",
    object(rbac, "ClusterRoleBinding", "", "x", boundTo({ kind: "ServiceAccount", namespace: own, name: "any" })),
    "gives rights",
  ],
  [
    "rights for all of its namespace",
    object(rbac, "RoleBinding", "shop", "x", boundTo({ kind: "Group", name: `system:serviceaccounts:${own}` })),
    "gives rights",
  ],
])("even without limits nobody writes the agent itself: %s", (_what, one, because) => {
  expect(rule(unlimited, one)).toContain(because);
});

test("without limits everything else is allowed", () => {
  expect(rule(unlimited, object(rbac, "ClusterRoleBinding", "", "admins"))).toBe("allowed");
  expect(rule(unlimited, object("v1", "Secret", "kube-system"))).toBe("allowed");
});

test.each([
  [object("apps/v1", "Deployment", "shop"), "allowed"],
  [object("apps/v1beta1", "Deployment", "shop"), "allowed"],
  [object("v1", "ConfigMap", "team-a"), "allowed"],
  [object("batch/v1", "Job", "shop"), "allowed"],
  [object("apps/v1", "StatefulSet", "shop"), "is of kind apps/StatefulSet"],
  [object("apps/v1", "Deployment", "shop-2"), "is in namespace shop-2"],
  [object("apps/v1", "Deployment", "kube-system"), "is in namespace kube-system"],
  [object("v1", "Namespace", "", "shop"), "allowed"],
  [object("v1", "Namespace", "", "other"), "is in namespace other"],
  [object("batch/v1", "Thing", ""), "is in no namespace"],
  [object("storage.k8s.io/v1", "StorageClass", ""), "allowed"],
])("limits by kind and namespace: %j", (one, because) => {
  const kinds = ["apps/Deployment", "ConfigMap", "Namespace", "batch/*", "storage.k8s.io/StorageClass"];
  expect(rule({ kinds, namespaces: ["shop", "team-*"] }, one)).toContain(because);
});

test("what is in no namespace passes no limit of namespaces by accident", () => {
  expect(rule({ kinds: "any", namespaces: ["shop"] }, object(rbac, "ClusterRole", ""))).toContain("is in no namespace");
});

const tenant: Authority = {
  profile: "tenant",
  limits: { kinds: "any", namespaces: ["shop"] },
  defaultServiceAccount: "",
};
const user = (name: string) => ({ kind: "account", user: `system:serviceaccount:${name}` });

test("an Application writes as its ServiceAccount, else as the default, and as the agent only where that is an admin", () => {
  expect(identityOf(wholeCluster, own, "")).toEqual({ kind: "agent" });
  expect(identityOf(wholeCluster, own, "shop/deployer")).toEqual(user("shop:deployer"));
  expect(identityOf(tenant, own, "shop/deployer")).toEqual(user("shop:deployer"));
  expect(identityOf(tenant, own, "")).toMatchObject({ kind: "refused" });
  const withDefault = { ...tenant, defaultServiceAccount: `${own}/plumbline-deployer` };
  expect(identityOf(withDefault, own, "")).toEqual(user(`${own}:plumbline-deployer`));
});

test.each(["deployer", "a/b/c", "/deployer", "shop/", `${own}/plumbline-agent`, "kube-system/admin"])(
  "no document makes the agent write as %s",
  (named) => {
    expect(identityOf(tenant, own, named)).toMatchObject({ kind: "refused" });
  },
);

test("also where everything is allowed no document makes the agent write as one of its own namespace", () => {
  expect(identityOf(wholeCluster, own, `${own}/plumbline-agent`)).toMatchObject({
    kind: "refused",
    because: expect.stringContaining("in the agent's own namespace") as string,
  });
});
