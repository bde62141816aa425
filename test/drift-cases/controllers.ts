import { strict as assert } from "node:assert";
import type { Cluster } from "#agent/cluster/cluster.ts";
import { WatchExpired } from "#agent/cluster/errors.ts";
import type { JsonObject, KubeObject } from "#proto/object.ts";
import { silence, type DriftCase } from "./case.ts";
import { deployment } from "./objects.ts";
import type { World } from "./world.ts";

const autoscaler = (world: World, minReplicas: number): KubeObject => ({
  apiVersion: "autoscaling/v2",
  kind: "HorizontalPodAutoscaler",
  metadata: { name: "web", namespace: world.namespace },
  spec: {
    scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "web" },
    minReplicas,
    maxReplicas: 10,
    metrics: [{ type: "Resource", resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 50 } } }],
  },
});
const ownsReplicas = ({ metadata }: KubeObject): boolean =>
  JSON.stringify(metadata.managedFields?.find(({ manager }) => manager === "plumbline")).includes("f:replicas");

const scaledObjects: KubeObject = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "scaledobjects.keda.sh" },
  spec: {
    group: "keda.sh",
    scope: "Namespaced",
    names: { plural: "scaledobjects", singular: "scaledobject", kind: "ScaledObject", listKind: "ScaledObjectList" },
    versions: [
      {
        name: "v1alpha1",
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
      },
    ],
  },
};

/** Fields and objects that controllers of the cluster have by right. */
export const controllerCases: readonly DriftCase[] = [
  {
    number: 12,
    name: "the real autoscaler scales",
    isRealOnly: true,
    expected: { reported: [], restored: false, writes: { "patch deployments": 1 } },
    async run(world) {
      const web = deployment(world, { replicas: 2 });
      await world.deploy([web]);
      const observed = await world.observe(async () => {
        await world.person.create(autoscaler(world, 3));
        await world.until(async () => (await world.value(web, "spec.replicas")) === 3);
      });
      assert.equal(await world.value(web, "spec.replicas"), 3);
      return observed;
    },
  },
  {
    number: 12,
    name: "scaled, also to 0, while an autoscaler names it; a change of Git leaves it alone",
    expected: { reported: [], restored: false, writes: { "patch deployments": 2 } },
    async run(world) {
      const web = deployment(world, { replicas: 2 });
      await world.deploy([web]);
      await world.person.create(autoscaler(world, 1));
      return world.observe(async () => {
        await world.edit(web, { "spec.replicas": 5 }, "autoscaler");
        await world.caughtUp();
        await world.edit(web, { "spec.replicas": 0 }, "autoscaler");
        await world.caughtUp();
        await world.deploy([deployment(world, { replicas: 3, minReadySeconds: 1 })]);
        assert.equal(await world.value(web, "spec.replicas"), 0);
        assert.equal(await world.value(web, "spec.minReadySeconds"), 1);
      });
    },
  },
  {
    number: 12,
    name: "a revision before the autoscaler has scaled anything: replicas stay what they are",
    expected: { reported: [], restored: false, writes: { "patch deployments": 1 } },
    async run(world) {
      const web = deployment(world, { replicas: 3 });
      await world.deploy([web]);
      await world.person.create(autoscaler(world, 1));
      return world.observe(async () => {
        await world.deploy([deployment(world, { replicas: 3, minReadySeconds: 1 })]);
        assert.equal(await world.value(web, "spec.replicas"), 3);
      });
    },
  },
  {
    number: 12,
    name: "an autoscaler of another kind by the same name has nothing to say",
    expected: {
      reported: ["changed, healed: spec.replicas by kubectl-scale"],
      restored: true,
      writes: { "patch deployments": 1 },
    },
    async run(world) {
      const web = deployment(world, { replicas: 2 });
      await world.deploy([web]);
      const other = autoscaler(world, 1);
      const spec = other["spec"] as JsonObject;
      spec["scaleTargetRef"] = { apiVersion: "apps/v1", kind: "StatefulSet", name: "web" };
      await world.person.create(other);
      return world.observe(() => world.edit(web, { "spec.replicas": 5 }, "kubectl-scale"));
    },
  },
  {
    number: 12,
    name: "a scale is seen before the autoscaler that made it: the server is asked",
    expected: { reported: [], restored: false, writes: { "patch deployments": 1 } },
    async run(world) {
      const web = deployment(world, { replicas: 2 });
      await world.stop();
      // What is told of autoscalers comes too late, here never.
      world.wrapAgent((cluster) => ({
        async *watch(...asked: Parameters<Cluster["watch"]>) {
          for await (const event of cluster.watch(...asked))
            if (asked[0].kind !== "HorizontalPodAutoscaler") yield event;
        },
      }));
      await world.start();
      await world.deploy([web]);
      await world.person.create(autoscaler(world, 1));
      const observed = await world.observe(() => world.edit(web, { "spec.replicas": 5 }, "autoscaler"));
      assert.equal(await world.value(web, "spec.replicas"), 5);
      return observed;
    },
  },
  ...[false, true].map((isOffline): DriftCase => ({
    number: 12,
    name: `the autoscaler goes${isOffline ? " while the agent is down" : ""}: replicas are owned again`,
    expected: {
      reported: ["changed, healed: spec.replicas by autoscaler"],
      restored: false,
      writes: { "patch deployments": 1 },
    },
    async run(world) {
      const web = deployment(world, { replicas: 2 });
      const scaler = autoscaler(world, 1);
      await world.deploy([web]);
      await world.person.create(scaler);
      await world.edit(web, { "spec.replicas": 5 }, "autoscaler");
      await world.caughtUp();
      assert.equal(ownsReplicas(await world.get(web)), false);
      const goes = async (): Promise<void> => world.delete(scaler);
      const observed = isOffline
        ? await world.observeOffline(goes)
        : await world.observe(async () => {
            await goes();
            await world.until(async () => (await world.value(web, "spec.replicas")) === 2);
          });
      assert.equal(await world.value(web, "spec.replicas"), 2);
      assert.equal(ownsReplicas(await world.get(web)), true);
      return observed;
    },
  })),
  {
    number: 12,
    name: "the autoscaler goes while nobody is told of it (410 Gone): replicas are owned again",
    expected: {
      reported: ["changed, healed: spec.replicas by autoscaler"],
      restored: false,
      writes: { "patch deployments": 1 },
    },
    async run(world) {
      const expired = Promise.withResolvers<never>();
      await world.stop();
      let isFirst = true;
      world.wrapAgent((cluster) => ({
        async *watch(...asked: Parameters<Cluster["watch"]>) {
          const isOfScalers = asked[0].kind === "HorizontalPodAutoscaler";
          if (isOfScalers && isFirst) {
            isFirst = false;
            await expired.promise;
          }
          yield* cluster.watch(...asked);
        },
      }));
      await world.start();
      const web = deployment(world, { replicas: 2 });
      const scaler = autoscaler(world, 1);
      await world.person.apply(world.ownNamespace);
      await world.person.create(scaler);
      await world.deploy([web]);
      await world.edit(web, { "spec.replicas": 5 }, "autoscaler");
      await world.caughtUp();
      assert.equal(await world.value(web, "spec.replicas"), 5);
      const observed = await world.observe(async () => {
        await world.delete(scaler);
        expired.reject(new WatchExpired("too old resource version"));
        await world.until(async () => (await world.value(web, "spec.replicas")) === 2);
      });
      assert.equal(ownsReplicas(await world.get(web)), true);
      return observed;
    },
  },
  {
    number: 12,
    name: "KEDA's ScaledObject is an autoscaler too",
    expected: { reported: [], restored: false, writes: { "patch deployments": 1 } },
    async run(world) {
      await (await world.backend.as("keda")).apply(scaledObjects);
      await world.until(async () => (await world.person.kindOf("keda.sh/v1alpha1", "ScaledObject")) !== undefined);
      const web = deployment(world, { replicas: 2 });
      await world.deploy([web]);
      const scaled = {
        apiVersion: "keda.sh/v1alpha1",
        kind: "ScaledObject",
        metadata: { name: "web", namespace: world.namespace },
        spec: { scaleTargetRef: { name: "web" } },
      };
      await world.until(() =>
        world.person.create(scaled).then(
          () => true,
          () => false,
        ),
      );
      return world.observe(() => world.edit(web, { "spec.replicas": 0 }, "keda-operator"));
    },
  },
  {
    number: 24,
    name: "an aggregated ClusterRole",
    isRealOnly: true,
    expected: { ...silence, restored: false, writes: undefined },
    async run(world) {
      const labels = { aggregate: world.namespace };
      const role = (name: string, more: object): KubeObject => ({
        apiVersion: "rbac.authorization.k8s.io/v1",
        kind: "ClusterRole",
        metadata: { name },
        ...more,
      });
      const whole = role(world.namespace, {
        aggregationRule: { clusterRoleSelectors: [{ matchLabels: labels }] },
        rules: [],
      });
      await world.deploy([whole]);
      const part = role(`${world.namespace}-part`, {
        rules: [{ apiGroups: [""], resources: ["pods"], verbs: ["get"] }],
      });
      part.metadata.labels = labels;
      const filled = async (): Promise<boolean> =>
        (await world.value(whole, "rules")) !== null &&
        JSON.stringify(await world.value(whole, "rules")).includes("pods");
      const observed = await world.observe(async () => {
        await world.person.create(part);
        await world.until(filled);
        await world.deploy([
          {
            ...whole,
            aggregationRule: { clusterRoleSelectors: [{ matchLabels: { ...labels } }, { matchLabels: { none: "x" } }] },
          },
        ]);
      });
      assert.equal(await filled(), true);
      return observed;
    },
  },
  {
    number: 24,
    name: "rules of a ClusterRole that is not aggregated are Git's",
    expected: {
      reported: ["changed, healed: rules by kubectl-edit"],
      restored: true,
      writes: { "patch clusterroles": 1 },
    },
    async run(world) {
      const role: KubeObject = {
        apiVersion: "rbac.authorization.k8s.io/v1",
        kind: "ClusterRole",
        metadata: { name: `${world.namespace}-plain` },
        rules: [{ apiGroups: [""], resources: ["pods"], verbs: ["get"] }],
      };
      await world.deploy([role]);
      return world.observe(() => world.edit(role, { rules: [{ apiGroups: ["*"], resources: ["*"], verbs: ["*"] }] }));
    },
  },
  {
    number: 25,
    name: "a Job that is done and cleaned away",
    isRealOnly: true,
    expected: { reported: [], restored: false, writes: {} },
    async run(world) {
      const job = {
        apiVersion: "batch/v1",
        kind: "Job",
        // Held, so that it is not gone before anyone has looked what there was.
        metadata: { name: "once", namespace: world.namespace, finalizers: ["test.plumbline.dev/held"] },
        spec: {
          completions: 0,
          ttlSecondsAfterFinished: 1,
          template: { spec: { restartPolicy: "Never", containers: [{ name: "once", image: "shop:1" }] } },
        },
      };
      await world.deploy([job]);
      const observed = await world.observe(async () => {
        await world.until(async () => (await world.get(job)).metadata.deletionTimestamp !== undefined);
        await world.edit(job, { "metadata.finalizers": [] });
        await world.until(async () => (await world.person.get(world.address(job))) === undefined);
        await world.caughtUp();
        await world.stop();
        await world.start();
      });
      assert.equal(await world.person.get(world.address(job)), undefined);
      return observed;
    },
  },
  caBundleCase("a validating webhook", "validatingwebhookconfigurations", webhook("ValidatingWebhookConfiguration")),
  caBundleCase("a mutating webhook", "mutatingwebhookconfigurations", webhook("MutatingWebhookConfiguration")),
  caBundleCase("the conversion of a definition", "customresourcedefinitions", {
    path: "spec.conversion.webhook.clientConfig.caBundle",
    object: (world, caBundle) => {
      const group = `${world.namespace}.example.com`;
      const clientConfig = { url: "https://127.0.0.1:1/", caBundle };
      const schema = { openAPIV3Schema: { type: "object" } };
      return {
        apiVersion: "apiextensions.k8s.io/v1",
        kind: "CustomResourceDefinition",
        metadata: { name: `things.${group}` },
        spec: {
          group,
          scope: "Namespaced",
          names: { plural: "things", singular: "thing", kind: "Thing", listKind: "ThingList" },
          conversion: { strategy: "Webhook", webhook: { conversionReviewVersions: ["v1"], clientConfig } },
          versions: [{ name: "v1", served: true, storage: true, schema }],
        },
      };
    },
  }),
  caBundleCase("an APIService", "apiservices", {
    path: "spec.caBundle",
    object: (world, caBundle) => ({
      apiVersion: "apiregistration.k8s.io/v1",
      kind: "APIService",
      metadata: { name: `v1.${world.namespace}.example.org` },
      spec: {
        group: `${world.namespace}.example.org`,
        version: "v1",
        groupPriorityMinimum: 100,
        versionPriority: 100,
        caBundle,
        service: { name: "nowhere", namespace: world.namespace },
      },
    }),
  }),
];

type Bundled = { readonly path: string; readonly object: (world: World, caBundle: string) => KubeObject };

function webhook(kind: string): Bundled {
  return {
    path: "webhooks[name=a.example.com].clientConfig.caBundle",
    object: (world, caBundle) => ({
      apiVersion: "admissionregistration.k8s.io/v1",
      kind,
      metadata: { name: world.namespace },
      webhooks: [
        {
          name: "a.example.com",
          sideEffects: "None",
          admissionReviewVersions: ["v1"],
          clientConfig: { url: "https://127.0.0.1:1/", caBundle },
        },
      ],
    }),
  };
}

/** An injector sets it by hand and owns it then: it is let be, and the rest of the object is ours. */
function caBundleCase(of: string, resource: string, { path, object }: Bundled): DriftCase {
  return {
    number: 26,
    name: `a CA bundle that an injector sets: ${of}`,
    expected: { reported: [], restored: false, writes: { [`patch ${resource}`]: 1 } },
    isRealOnly: true,
    async run(world) {
      const ca = `${world.backend.plane!.caPem.trim()}\n`;
      const [ours, theirs] = [ca, `${ca}${ca}`].map((pem) => Buffer.from(pem).toString("base64")) as [string, string];
      const bundled = object(world, ours);
      await world.deploy([bundled]);
      const observed = await world.observe(() => world.edit(bundled, { [path]: theirs }, "cainjector"));
      assert.equal(await world.value(bundled, path), theirs);
      await world.take(world.documents.remove("shop", "orphan"));
      const { uid = "" } = (await world.get(bundled)).metadata;
      await world.person.delete(world.address(bundled), { uid });
      return observed;
    },
  };
}
