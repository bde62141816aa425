import { yamlText } from "#lib/yaml-text.ts";
import type { TenantProfile } from "#proto/token.ts";

/** The ServiceAccount that writes for Applications which name none. */
export const tenantDefaultAccount = "plumbline-agent/plumbline-deployer";

const own = "plumbline-agent";
const rbac = "rbac.authorization.k8s.io";
const reading = ["get", "list", "watch"];
const writing = ["get", "create", "update", "patch", "delete"];
// Scales by an autoscaler are no drift, so autoscalers are read besides what is delivered.
const autoscalers = [
  { apiGroups: ["autoscaling"], resources: ["horizontalpodautoscalers"] },
  { apiGroups: ["keda.sh"], resources: ["scaledobjects"] },
];
// Reasons of what is not healthy are read in them.
const reasons = [
  { apiGroups: [""], resources: ["pods", "events"] },
  { apiGroups: ["apps"], resources: ["replicasets"] },
];

/** Rights of profile Tenant, as documents of one YAML stream: no right to any cluster-wide thing, nor to Secrets that are not listed. */
export function tenantRights(profile: TenantProfile): string {
  return tenantObjects(profile)
    .map((object) => yamlText(object))
    .join("---\n");
}

function tenantObjects({ namespaces, kinds, serviceAccounts }: TenantProfile): object[] {
  const listed = rulesOf(kinds);
  const read = [...listed, ...autoscalers, ...reasons].map((rule) => ({ ...rule, verbs: reading }));
  const accounts = [tenantDefaultAccount, ...serviceAccounts].map((account) => account.split("/") as [string, string]);
  return [
    { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "plumbline-deployer", namespace: own } },
    // Its memory: keys, documents, bundles, inventories.
    ...role(`${own}-state`, own, [
      { apiGroups: [""], resources: ["secrets"], verbs: [...reading, ...writing.slice(1)] },
    ]),
    ...namespaces.map((name) => ({ apiVersion: "v1", kind: "Namespace", metadata: { name } })),
    ...namespaces.flatMap((namespace) => [
      ...role(`${own}-read`, namespace, read),
      ...role(
        `${own}-write`,
        namespace,
        listed.map((rule) => ({ ...rule, verbs: writing })),
        "plumbline-deployer",
      ),
    ]),
    ...accounts.flatMap(([namespace, name]) =>
      role(`${own}-as-${name}`, namespace, [
        { apiGroups: [""], resources: ["serviceaccounts"], verbs: ["impersonate"], resourceNames: [name] },
      ]),
    ),
  ];
}

/** A Role, bound to a ServiceAccount of the agent's namespace. */
function role(name: string, namespace: string, rules: readonly object[], account = own): object[] {
  const metadata = { name, namespace };
  return [
    { apiVersion: `${rbac}/v1`, kind: "Role", metadata, rules },
    {
      apiVersion: `${rbac}/v1`,
      kind: "RoleBinding",
      metadata,
      roleRef: { apiGroup: rbac, kind: "Role", name },
      subjects: [{ kind: "ServiceAccount", name: account, namespace: own }],
    },
  ];
}

function rulesOf(kinds: readonly string[]): { apiGroups: string[]; resources: string[] }[] {
  const parts = kinds.map(partsOfKind);
  return [...Map.groupBy(parts, ({ group }) => group)].map(([group, members]) => ({
    apiGroups: [group],
    resources: members.map(({ resource }) => resource),
  }));
}

/** "apps/Deployment" as the agent knows the kind, and its resource as RBAC does. */
export function partsOfKind(written: string): { group: string; kind: string; resource: string } {
  const [name = "", plural] = written.split("=");
  const slash = name.lastIndexOf("/");
  const kind = name.slice(slash + 1);
  return { group: name.slice(0, Math.max(0, slash)), kind, resource: plural ?? pluralOf(kind.toLowerCase()) };
}

/** As Kubernetes guesses it (apimachinery's UnsafeGuessKindToResource), with its one irregular kind, and Gateways right. */
function pluralOf(kind: string): string {
  if (kind === "endpoints") return kind;
  if (kind.endsWith("s")) return `${kind}es`;
  return /[^aeiou]y$/.test(kind) ? `${kind.slice(0, -1)}ies` : `${kind}s`;
}

/** Settings of the agent's container that hold it to this profile, whatever a hub says. */
export const tenantSettings = ({ namespaces, kinds }: TenantProfile): Record<string, string> => ({
  PLUMBLINE_PROFILE: "tenant",
  PLUMBLINE_DEFAULT_SERVICE_ACCOUNT: tenantDefaultAccount,
  PLUMBLINE_ALLOW_NAMESPACES: namespaces.join(","),
  PLUMBLINE_ALLOW_KINDS: kinds.map((kind) => kind.split("=")[0]).join(","),
});

/** The same for `plumb agent join`, which runs an agent outside its cluster. */
export function tenantFlags(profile: TenantProfile): string {
  const settings = tenantSettings(profile);
  return [
    "--profile tenant",
    `--default-service-account ${settings["PLUMBLINE_DEFAULT_SERVICE_ACCOUNT"]}`,
    `--allow-namespaces ${settings["PLUMBLINE_ALLOW_NAMESPACES"]}`,
    `--allow-kinds ${settings["PLUMBLINE_ALLOW_KINDS"]}`,
  ].join(" ");
}
