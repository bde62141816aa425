import { yamlText } from "#lib/yaml-text.ts";
import type { TenantProfile } from "#proto/token.ts";
import { tenantRights, tenantSettings } from "./tenant-profile.ts";

/**
 * What a member cluster needs to run an agent, for `kubectl apply -f -`. Without a Tenant's profile it is Admin, which is
 * cluster-admin and says so.
 */
export function agentManifests(join: {
  readonly image: string;
  readonly hub: string;
  readonly token: string;
  readonly caPin: string;
  readonly root: string;
  readonly tenant?: TenantProfile;
}): string {
  const quoted = (text: string): string => JSON.stringify(text);
  const { tenant } = join;
  return `${tenant === undefined ? adminPreface : tenantPreface}apiVersion: v1
kind: Namespace
metadata:
  name: plumbline-agent
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: plumbline-agent
  namespace: plumbline-agent
---
${tenant === undefined ? clusterAdmin : tenantRights(tenant)}---
${limitsOf(tenant)}---
apiVersion: v1
kind: Secret
metadata:
  name: plumbline-join
  namespace: plumbline-agent
stringData:
  PLUMBLINE_JOIN_HUB: ${quoted(join.hub)}
  PLUMBLINE_JOIN_TOKEN: ${quoted(join.token)}
  PLUMBLINE_JOIN_CA_PIN: ${quoted(join.caPin)}
  PLUMBLINE_JOIN_ROOT: ${quoted(join.root)}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: plumbline-agent
  namespace: plumbline-agent
spec:
  replicas: 1
  strategy:
    type: Recreate
  selector:
    matchLabels:
      app.kubernetes.io/name: plumbline-agent
  template:
    metadata:
      labels:
        app.kubernetes.io/name: plumbline-agent
    spec:
      serviceAccountName: plumbline-agent
      containers:
        - name: agent
          image: ${quoted(join.image)}
          envFrom:
            - secretRef:
                name: plumbline-join
            - configMapRef:
                name: plumbline-agent-limits
                optional: true
          env:
            # An agent rests nearly always: these cost it speed that it does not need, and save a third of its memory.
            # With 8 MB for what is new an apply is 3 % quicker than with 2, for 3 MB more once it rests.
            - name: NODE_OPTIONS
              value: --max-semi-space-size=8 --v8-pool-size=1
            - name: UV_THREADPOOL_SIZE
              value: "2"
            - name: MALLOC_ARENA_MAX
              value: "1"
            - name: MALLOC_TRIM_THRESHOLD_
              value: "65536"
            - name: MALLOC_MMAP_THRESHOLD_
              value: "32768"
          resources:
            requests:
              cpu: 20m
              memory: 96Mi
            limits:
              memory: 256Mi
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            runAsNonRoot: true
            capabilities:
              drop: [ALL]
`;
}

const adminPreface = `# Runs the Plumbline agent with the rights of cluster-admin: it applies whatever this fleet's Git says.
# ConfigMap plumbline-agent-limits narrows that down: docs/authority.md.
`;
const tenantPreface = `# Runs the Plumbline agent as a tenant: it reads and writes the listed kinds in the listed namespaces, and nothing else.
`;
const clusterAdmin = `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: plumbline-agent
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: cluster-admin
subjects:
  - kind: ServiceAccount
    name: plumbline-agent
    namespace: plumbline-agent
`;

/** This cluster's own word on what its agent may do; no hub can change it. */
const limitsOf = (tenant: TenantProfile | undefined): string =>
  yamlText({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "plumbline-agent-limits", namespace: "plumbline-agent" },
    data: tenant === undefined ? { PLUMBLINE_PROFILE: "admin" } : tenantSettings(tenant),
  });
