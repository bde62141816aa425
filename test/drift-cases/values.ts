import { strict as assert } from "node:assert";
import { silence, type DriftCase } from "./case.ts";
import { deployment, settings } from "./objects.ts";

/** Touches the object without a change that anyone would mean: its watch brings it once more. */
const annotated = (object: any): void => {
  object.metadata.annotations = { ...object.metadata.annotations, note: "seen" };
};

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
    number: 3,
    name: "quantities in another notation",
    expected: silence,
    async run(world) {
      const limits = { limits: { cpu: "1000m", memory: "1024Mi" }, requests: { cpu: "2000m" } };
      await world.deploy([deployment(world, {}, { resources: { ...limits, requests: { cpu: "500m" } } })]);
      return world.observe(async () => undefined);
    },
  },
  {
    number: 4,
    name: "empty values that the server drops",
    todo: "foreign fields have no report",
    expected: { ...silence, restored: false, reported: ["foreign fields: metadata.annotations.note by kubectl-edit"] },
    async run(world) {
      const empty = { env: [], args: [], volumeMounts: [{ name: "tmp", mountPath: "/tmp", readOnly: false }] };
      const web = deployment(world, {}, empty);
      const pod = (web["spec"] as any).template.spec;
      pod.volumes = [{ name: "tmp", emptyDir: {} }];
      pod.hostNetwork = false;
      await world.deploy([web, settings(world, {})]);
      return world.observe(async () => {
        await world.edit(web, annotated);
      });
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
      const secret = { ...settings(world, { key: "Y2FuYXJ5" }), kind: "Secret" };
      await world.deploy([secret]);
      const observed = await world.observe(() => world.edit(secret, (there) => (there.data.key = "b3RoZXI=")));
      assert.doesNotMatch(
        JSON.stringify(world.drifts(), (_, value) => (typeof value === "bigint" ? 0 : value)),
        /Y2Fu|b3Ro/,
      );
      return observed;
    },
  },
];
