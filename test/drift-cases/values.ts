import { strict as assert } from "node:assert";
import { objectsOf } from "#hub/render/objects.ts";
import type { KubeObject } from "#proto/object.ts";
import type { World } from "./world.ts";
import { silence, type DriftCase } from "./case.ts";
import { deployment, settings } from "./objects.ts";

const pod = "spec.template.spec";

/** What the server itself makes of the values that we sent. */
export const valueCases: readonly DriftCase[] = [
  {
    number: 1,
    name: "defaults of fields that we did not send",
    expected: silence,
    async run(world) {
      await world.deploy([deployment(world)]);
      return world.observe(async () => undefined);
    },
  },
  {
    number: 2,
    name: "a defaulted field that we did not send, changed",
    expected: { reported: ["foreign fields: spec.revisionHistoryLimit by kubectl-edit"], restored: false, writes: {} },
    async run(world) {
      const web = deployment(world);
      await world.deploy([web]);
      return world.observe(() => world.edit(web, { "spec.revisionHistoryLimit": 3 }));
    },
  },
  {
    number: 2,
    name: "kubectl rollout restart, kubectl label, kubectl annotate: fields that we never had",
    expected: {
      reported: [
        'foreign fields: metadata.annotations.note by kubectl-edit, metadata.labels.team by kubectl-edit, spec.template.metadata.annotations["kubectl.kubernetes.io/restartedAt"] by kubectl-edit',
      ],
      restored: false,
      writes: {},
    },
    async run(world) {
      const web = deployment(world);
      await world.deploy([web]);
      const labels = { ...world.label, team: "shop" };
      return world.observe(() =>
        world.edit(web, {
          "spec.template.metadata.annotations": { "kubectl.kubernetes.io/restartedAt": "2030-01-01T00:00:00Z" },
          "metadata.annotations": { note: "x" },
          "metadata.labels": labels,
        }),
      );
    },
  },
  {
    number: 3,
    name: "quantities in another notation",
    expected: silence,
    async run(world) {
      const resources = { limits: { cpu: "2000m", memory: "1024Mi" }, requests: { cpu: "1000m" } };
      await world.deploy([deployment(world, {}, { resources })]);
      return world.observe(async () => undefined);
    },
  },
  {
    number: 4,
    name: "empty values that the server drops",
    expected: {
      reported: ["foreign fields: metadata.annotations.note by kubectl-edit"],
      restored: false,
      writes: {},
    },
    async run(world) {
      const empty = { env: [], args: [], volumeMounts: [{ name: "tmp", mountPath: "/tmp", readOnly: false }] };
      const web = deployment(world, {}, empty, { volumes: [{ name: "tmp", emptyDir: {} }], hostNetwork: false });
      const policy = {
        apiVersion: "networking.k8s.io/v1",
        kind: "NetworkPolicy",
        metadata: { name: "none", namespace: world.namespace },
        spec: { podSelector: {}, policyTypes: ["Ingress"], ingress: [] },
      };
      const role = {
        apiVersion: "rbac.authorization.k8s.io/v1",
        kind: "Role",
        metadata: { name: "none", namespace: world.namespace },
        rules: [],
      };
      await world.deploy([web, settings(world, {}), policy, role]);
      return world.observe(() => world.edit(web, { "metadata.annotations": { note: "seen" } }));
    },
  },
  {
    number: 5,
    name: "another fills a value that we sent empty",
    expected: {
      reported: [`foreign fields: ${pod}.securityContext.runAsUser by kubectl-edit`],
      restored: false,
      writes: {},
    },
    async run(world) {
      const web = deployment(world, {}, {}, { securityContext: {} });
      await world.deploy([web]);
      return world.observe(() => world.edit(web, { [`${pod}.securityContext`]: { runAsUser: 7 } }));
    },
  },
  {
    number: 5,
    name: "another fills an atomic map that we sent empty: it is ours as a whole",
    expected: {
      reported: [`changed, healed: ${pod}.nodeSelector by kubectl-edit`],
      restored: true,
      writes: { "patch deployments": 1 },
    },
    async run(world) {
      const web = deployment(world, {}, {}, { nodeSelector: {} });
      await world.deploy([web]);
      return world.observe(() => world.edit(web, { [`${pod}.nodeSelector`]: { disk: "ssd" } }));
    },
  },
  {
    number: 6,
    name: "a Secret's data, by digests alone",
    expected: {
      reported: ["changed, healed: data.key by kubectl-edit"],
      restored: true,
      writes: { "patch secrets": 1 },
    },
    async run(world) {
      const [secret] = rendered(world, `kind: Secret\nmetadata: {name: a}\nstringData: {key: canary}`);
      await world.deploy([secret]);
      const observed = await world.observe(() => world.edit(secret, { "data.key": "b3RoZXI=" }));
      const told = world.drifts().flatMap(({ fields }) => fields.flatMap(({ before, after }) => [before, after]));
      assert.equal(told.length, 2);
      for (const value of told) assert.match(value, /^hmac-sha256:[0-9a-f]{16}$/);
      return observed;
    },
  },
  {
    number: 7,
    name: "nulls, status and creationTimestamp in Git",
    expected: silence,
    async run(world) {
      const text = `kind: ConfigMap
metadata: {name: a, creationTimestamp: null, annotations: null, uid: x, resourceVersion: "7"}
data: {level: info, none: null}
status: {loadBalancer: {}}`;
      const [a] = rendered(world, text);
      assert.deepEqual(a.metadata, { name: "a", namespace: world.namespace });
      assert.deepEqual(Object.keys(a), ["apiVersion", "kind", "metadata", "data"]);
      await world.deploy([a]);
      return world.observe(async () => undefined);
    },
  },
];

/** As the hub reads it from Git. */
function rendered({ namespace }: World, text: string): [KubeObject] {
  const bytes = Buffer.from(`apiVersion: v1\n${text}\n`);
  return objectsOf([{ path: "a.yaml", bytes }], namespace) as [KubeObject];
}
