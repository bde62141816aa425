import { silence, type DriftCase } from "./case.ts";
import { service, settings } from "./objects.ts";

/** Lists and maps: by key, by membership, or as a whole. */
export const listCases: readonly DriftCase[] = [
  {
    number: 16,
    name: "another's item in a list by key",
    expected: {
      reported: [
        `foreign fields: ${["name", "port", "protocol", "targetPort"]
          .map((field) => `spec.ports[port=81,protocol=TCP].${field} by kubectl-edit`)
          .join(", ")}`,
      ],
      restored: false,
      writes: {},
    },
    async run(world) {
      const web = service(world);
      await world.deploy([web]);
      const { ports } = (await world.get(web))["spec"] as { ports: object[] };
      const other = { name: "other", port: 81, protocol: "TCP", targetPort: 81 };
      return world.observe(() => world.edit(web, { "spec.ports": [other, ...ports] as never }));
    },
  },
  {
    number: 16,
    name: "our items in another order",
    expected: { ...silence, restored: false },
    async run(world) {
      const ports = [
        { name: "http", port: 80 },
        { name: "admin", port: 81 },
      ];
      const web = service(world, { ports });
      await world.deploy([web]);
      const there = ((await world.get(web))["spec"] as { ports: object[] }).ports;
      return world.observe(() => world.edit(web, { "spec.ports": there.toReversed() as never }));
    },
  },
  {
    number: 17,
    name: "our member of a set taken out, another's left in",
    expected: {
      reported: ['changed, healed: metadata.finalizers[="example.com/keep"] by unknown (admission or a forged entry)'],
      restored: false,
      writes: { "patch configmaps": 1 },
    },
    async run(world) {
      const a = settings(world, { level: "info" });
      a.metadata.finalizers = ["example.com/keep"];
      await world.deploy([a]);
      return world.observe(() => world.edit(a, { "metadata.finalizers": ["example.com/other"] }));
    },
  },
  {
    number: 17,
    name: "an atomic map with one key more",
    expected: {
      reported: ["changed, healed: spec.selector by kubectl-edit"],
      restored: true,
      writes: { "patch services": 1 },
    },
    async run(world) {
      const web = service(world);
      await world.deploy([web]);
      return world.observe(() => world.edit(web, { "spec.selector.more": "x" }));
    },
  },
];
