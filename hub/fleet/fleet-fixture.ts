import { readFleet, type FleetFile } from "./read.ts";
import { describeProblem } from "./problem.ts";

/** A small fleet in which every kind is written once, as its documentation shows it. */
export const wholeFleet: Readonly<Record<string, string>> = {
  "fleet/clusters.yaml": `apiVersion: plumbline.dev/v1
kind: Cluster
metadata: {name: eu-1, labels: {env: prod, region: eu}}
---
apiVersion: plumbline.dev/v1
kind: Cluster
metadata: {name: s-1, labels: {env: staging}}
`,
  "fleet/environments.yaml": `apiVersion: plumbline.dev/v1
kind: Environment
metadata: {name: staging}
spec:
  clusters: {matchLabels: {env: staging}}
  revisions: {follow: main}
---
apiVersion: plumbline.dev/v1
kind: Environment
metadata: {name: prod}
spec:
  clusters: {matchLabels: {env: prod}}
  revisions: {promotedFrom: [staging]}
  signatures: {require: head, signers: [release]}
  kubernetes: {version: 1.30, apis: [monitoring.coreos.com/v1]}
  gates:
    soak: 30m
    approvals: {count: 1, by: ["group:release"]}
    windows: [{days: [mon, tue], from: 09:00, to: "17:00", zone: Europe/Berlin}]
  rollout:
    waves: [{matchLabels: {canary: "true"}, soak: 10m}, {percent: 25}, {percent: 100}]
    maxUnavailable: 10%
    onFailure: rollback
`,
  "fleet/apps/podinfo.yml": `apiVersion: plumbline.dev/v1
kind: Application
metadata: {name: podinfo}
spec:
  source:
    repository: apps
    path: deploy/\${environment}
    render: helm
    helm: {values: {replicas: 2, mode: 0.10}, valuesFiles: ["values-\${environment}.yaml"], once: [{kind: Secret, name: salt}]}
  namespace: podinfo
  environments: [staging, prod]
  delivery: {timeout: 2m, prune: {budget: 50%, protected: [PersistentVolumeClaim]}}
---
apiVersion: plumbline.dev/v1
kind: Application
metadata: {name: web}
spec:
  source: {path: web}
  namespace: web
  environments: [staging]
  dependsOn: [podinfo]
`,
  "fleet/requests.yaml": `apiVersion: plumbline.dev/v1
kind: Promotion
metadata: {name: podinfo}
spec: {environment: prod, application: podinfo, revision: 1111111111111111111111111111111111111111}
---
apiVersion: plumbline.dev/v1
kind: Removal
metadata: {name: old}
spec: {application: long-gone, cluster: eu-1, mode: orphan, reason: moved}
---
apiVersion: plumbline.dev/v1
kind: DriftException
metadata: {name: incident}
spec:
  environment: prod
  application: podinfo
  object: Deployment podinfo/web
  fields: [spec.replicas]
  until: 2026-03-01T18:00:00Z
  reason: incident 4412
---
apiVersion: plumbline.dev/v1
kind: Freeze
metadata: {name: holidays}
spec: {environments: [prod], until: 2026-01-02T00:00:00+01:00, reason: holidays, healing: false}
`,
  "fleet/settings.yaml": `apiVersion: plumbline.dev/v1
kind: Repository
metadata: {name: apps}
spec:
  url: ssh://git@git.example.com/apps.git
  credentials: {secret: {namespace: plumbline, name: git, key: ssh}}
  hostKeys: [git.example.com ssh-ed25519 AAAA]
  webhookSecret: {file: /etc/plumbline/webhook}
---
apiVersion: plumbline.dev/v1
kind: Access
metadata: {name: people}
spec:
  grants: [{to: ["group:release", "user:dev1"], roles: [viewer, {promoter: [staging]}]}]
  tokens: [{name: ci, sha256: ${"ab".repeat(32)}, roles: [operator]}]
---
apiVersion: plumbline.dev/v1
kind: Signer
metadata: {name: release}
spec: {ssh: ["release@example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB616irtFNa0Nx+QqIOoLgfCTsjfpEZ3iF7T94HXYD1W"]}
---
apiVersion: plumbline.dev/v1
kind: HealthRule
metadata: {name: certificates}
spec: {apiVersion: cert-manager.io/v1, kind: Certificate, current: object.status.ready}
---
apiVersion: plumbline.dev/v1
kind: Notification
metadata: {name: chat}
spec: {events: [drift], to: {kind: slack, address: {file: /etc/plumbline/slack}}}
`,
};

export const filesOf = (texts: Readonly<Record<string, string>>): FleetFile[] =>
  Object.entries(texts).map(([path, text]) => ({ path, bytes: Buffer.from(text) }));

/** A fleet's problems, one line each: `file:line: field message`. */
export const problemsOf = (texts: Readonly<Record<string, string>>): string[] =>
  readFleet(filesOf(texts)).problems.map(describeProblem);

/** One document of a kind at the top of its file; `spec` begins on line 4. */
export const written = (kind: string, name: string, spec: string): string =>
  `apiVersion: plumbline.dev/v1\nkind: ${kind}\nmetadata: {name: ${name}}\n${spec}`;
