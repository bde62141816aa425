import { expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { agentManifests } from "./paste.ts";
import { partsOfKind } from "./tenant-profile.ts";

test.each([
  ["apps/Deployment", "apps", "Deployment", "deployments"],
  ["ConfigMap", "", "ConfigMap", "configmaps"],
  ["networking.k8s.io/Ingress", "networking.k8s.io", "Ingress", "ingresses"],
  ["networking.k8s.io/NetworkPolicy", "networking.k8s.io", "NetworkPolicy", "networkpolicies"],
  ["gateway.networking.k8s.io/Gateway", "gateway.networking.k8s.io", "Gateway", "gateways"],
  ["Endpoints", "", "Endpoints", "endpoints"],
  ["example.com/Mouse=mice", "example.com", "Mouse", "mice"],
])("%s is %s %s, %s in RBAC", (written, group, kind, resource) => {
  expect(partsOfKind(written)).toEqual({ group, kind, resource });
});

type Document = {
  kind: string;
  metadata: { name: string; namespace?: string };
  rules?: Rule[];
  data?: object;
  roleRef?: { name: string };
  subjects?: { name: string }[];
};
type Rule = { resources: string[]; verbs: string[]; resourceNames?: string[] };
const join = { image: "agent:1", hub: "h:1", token: "t", caPin: "sha256:a", root: "sha256:b" };
const documentsOf = (text: string) => parseAllDocuments(text).map((document) => document.toJS() as Document);

test("a tenant's rights are Roles in its namespaces, and impersonation names each account", () => {
  const tenant = { namespaces: ["shop"], kinds: ["ConfigMap"], serviceAccounts: ["shop/deployer"] };
  const documents = documentsOf(agentManifests({ ...join, tenant }));
  expect(documents.filter(({ kind }) => kind.startsWith("Cluster"))).toEqual([]);
  const rules = documents.flatMap(({ metadata, rules = [] }) =>
    rules.map((rule) => ({ ...rule, in: metadata.namespace })),
  );
  for (const rule of rules.filter(({ verbs }) => verbs.includes("impersonate")))
    expect(rule).toMatchObject({ resources: ["serviceaccounts"], resourceNames: [expect.any(String) as string] });
  expect(rules.filter(({ resources }) => resources.includes("secrets")).map((rule) => rule.in)).toEqual([
    "plumbline-agent",
  ]);
  expect(documents.find(({ metadata }) => metadata.name === "plumbline-agent-limits")?.data).toEqual({
    PLUMBLINE_PROFILE: "tenant",
    PLUMBLINE_DEFAULT_SERVICE_ACCOUNT: "plumbline-agent/plumbline-deployer",
    PLUMBLINE_ALLOW_NAMESPACES: "shop",
    PLUMBLINE_ALLOW_KINDS: "ConfigMap",
  });
});

test("a tenant's agent changes nothing in its own name but the Secrets of its namespace, and its deployer only what is listed", () => {
  const tenant = { namespaces: ["shop", "team"], kinds: ["ConfigMap", "apps/Deployment"], serviceAccounts: [] };
  const documents = documentsOf(agentManifests({ ...join, tenant }));
  const changedBy = (account: string): string[] =>
    documents
      .filter(({ kind, subjects = [] }) => kind === "RoleBinding" && subjects.some(({ name }) => name === account))
      .flatMap(({ metadata: { namespace }, roleRef }) =>
        documents
          .filter(({ kind, metadata }) => kind === "Role" && metadata.name === roleRef?.name)
          .filter(({ metadata }) => metadata.namespace === namespace)
          .flatMap(({ rules = [] }) => rules)
          .filter(({ verbs }) => verbs.some((verb) => !["get", "list", "watch", "impersonate"].includes(verb)))
          .flatMap(({ resources }) => resources.map((resource) => `${namespace} ${resource}`)),
      )
      .sort();
  expect(changedBy("plumbline-agent")).toEqual(["plumbline-agent secrets"]);
  expect(changedBy("plumbline-deployer")).toEqual([
    "shop configmaps",
    "shop deployments",
    "team configmaps",
    "team deployments",
  ]);
});

test("an admin's manifests say that they are cluster-admin", () => {
  const text = agentManifests(join);
  expect(text).toContain("# Runs the Plumbline agent with the rights of cluster-admin");
  expect(documentsOf(text).map(({ kind }) => kind)).toContain("ClusterRoleBinding");
});
