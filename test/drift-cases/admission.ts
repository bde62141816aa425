import { strict as assert } from "node:assert";
import type { KubeObject } from "#proto/object.ts";
import type { DriftCase } from "./case.ts";
import { settings } from "./objects.ts";
import type { World } from "./world.ts";

/** Sets data.level of ConfigMaps of this case's namespace to what a CEL expression gives, when `condition` holds. */
async function admit(world: World, value: string, condition = "true"): Promise<void> {
  const name = world.namespace;
  const group = "admissionregistration.k8s.io/v1";
  const policy: KubeObject = {
    apiVersion: group,
    kind: "MutatingAdmissionPolicy",
    metadata: { name },
    spec: {
      failurePolicy: "Fail",
      reinvocationPolicy: "Never",
      matchConstraints: {
        namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": world.namespace } },
        resourceRules: [
          { apiGroups: [""], apiVersions: ["v1"], resources: ["configmaps"], operations: ["CREATE", "UPDATE"] },
        ],
      },
      matchConditions: [{ name: "who", expression: condition }],
      mutations: [
        { patchType: "ApplyConfiguration", applyConfiguration: { expression: `Object{data: {"level": ${value}}}` } },
      ],
    },
  };
  await world.person.create(policy);
  await world.person.create({
    apiVersion: group,
    kind: "MutatingAdmissionPolicyBinding",
    metadata: { name },
    spec: { policyName: name },
  });
  // A policy takes effect when the API server has read it, not when it is stored.
  const probe = settings(world, { level: "probe" }, "probe");
  await world.until(async () => {
    const answer = await world.person.apply(probe, { dryRun: true, force: true });
    return (answer["data"] as { level: string }).level !== "probe";
  });
}

const unknown = "by unknown (admission or a forged entry)";
const noted = { "metadata.annotations": { note: "x" } };
const foreign = "foreign fields: metadata.annotations.note by kubectl-edit";

/** What mutating admission does behind everyone's field managers. */
export const admissionCases: readonly DriftCase[] = [
  {
    number: 13,
    name: "admission changes our own apply",
    isRealOnly: true,
    expected: { reported: [foreign], restored: false, writes: {} },
    async run(world) {
      await world.person.create(world.ownNamespace).catch(() => undefined);
      await admit(world, `"forced"`);
      const a = settings(world, { level: "info" });
      await world.deploy([a]);
      assert.equal(await world.value(a, "data.level"), "forced");
      return world.observe(() => world.edit(a, noted));
    },
  },
  {
    number: 14,
    name: "admission changes a value during someone else's write",
    isRealOnly: true,
    expected: {
      reported: [`changed, healed: data.level ${unknown}`, foreign],
      restored: false,
      writes: { "patch configmaps": 1 },
    },
    async run(world) {
      const a = settings(world, { level: "info" });
      await world.deploy([a]);
      await admit(world, `"forced"`, `request.userInfo.username != "${world.user}"`);
      const observed = await world.observe(() => world.edit(a, noted));
      assert.equal(await world.value(a, "data.level"), "info");
      return { ...observed, reported: observed.reported.toSorted() };
    },
  },
  {
    number: 15,
    name: "admission gives the value back on each heal",
    isRealOnly: true,
    expected: {
      reported: [`changed, contested ${unknown}`, foreign],
      restored: false,
      writes: { "patch configmaps": 1 },
    },
    async run(world) {
      const a = settings(world, { level: "info" });
      await world.deploy([a]);
      await admit(world, `"forced"`);
      const observed = await world.observe(() => world.edit(a, noted));
      // Nothing is promised that does not come.
      assert.deepEqual(
        world.drifts().map(({ nextHealAtMs }) => nextHealAtMs),
        [0n],
      );
      return { ...observed, reported: observed.reported.toSorted() };
    },
  },
  {
    number: 15,
    name: "admission gives a new value on each heal",
    isRealOnly: true,
    expected: {
      reported: [`changed, contested: data.level ${unknown}`, foreign],
      restored: false,
      writes: { "patch configmaps": 1 },
    },
    async run(world) {
      const a = settings(world, { level: "info" });
      await world.deploy([a]);
      await admit(world, `oldObject == null ? "x" : oldObject.data.level + "x"`);
      const observed = await world.observe(() => world.edit(a, noted));
      // Nothing is promised that does not come.
      assert.deepEqual(
        world.drifts().map(({ nextHealAtMs }) => nextHealAtMs),
        [0n],
      );
      return { ...observed, reported: observed.reported.toSorted() };
    },
  },
];
