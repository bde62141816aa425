import fc from "fast-check";
import { expect, test } from "vitest";
import { substitute, unknownParameters } from "#hub/fleet/select.ts";
import { substituteValues } from "#hub/fleet/substitute-values.ts";
import { clusterId, environmentName } from "#proto/ids.ts";
import type { Json } from "#proto/object.ts";

const parameters = {
  environment: environmentName("prod"),
  cluster: { name: clusterId("eu-1"), labels: { region: "eu", "example.com/tier": "gold", empty: "" } },
};

test.each([
  ["deploy/base", "deploy/base", false],
  ["deploy/${environment}", "deploy/prod", false],
  ["${cluster.name}/${environment}/${environment}", "eu-1/prod/prod", true],
  ["${cluster.labels.region}-${cluster.labels.example.com/tier}", "eu-gold", true],
  ["x${cluster.labels.empty}", "x", true],
  ["$${environment} costs $5 ${", "${environment} costs $5 ${", false],
])("fills %s", (text, filled, perCluster) => {
  expect(substitute(text, parameters)).toEqual({ ok: true, text: filled, perCluster });
});

test.each([
  ["${cluster.labels.zone}", "${cluster.labels.zone}: cluster eu-1 has no label zone"],
  ["${cluster.labels.toString}", "${cluster.labels.toString}: cluster eu-1 has no label toString"],
  ["${region}", "${region} is no parameter"],
  ["${}", "${} is no parameter"],
])("a missing parameter is a problem: %s", (text, problem) => {
  const result = substitute(text, parameters);
  expect(result).toEqual({ ok: false, problem: expect.stringContaining(problem) });
});

test("what a label says is never read as a parameter", () => {
  const cluster = { ...parameters.cluster, labels: { a: "${environment}$&$1" } };
  expect(substitute("${cluster.labels.a}", { ...parameters, cluster })).toMatchObject({ text: "${environment}$&$1" });
});

test("text without a known problem is always filled", () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      if (unknownParameters(text).length === 0 && !text.includes("cluster.labels"))
        expect(substitute(text, parameters).ok).toBe(true);
    }),
  );
});

test("fills every string of a value, whatever its keys are called", () => {
  const value = JSON.parse('{"a": ["${environment}", 1, null], "__proto__": {"b": "${cluster.name}"}}') as Json;
  const filled = substituteValues(value, parameters);
  expect(JSON.stringify(filled.ok && filled.value)).toBe('{"a":["prod",1,null],"__proto__":{"b":"eu-1"}}');
  expect(filled).toMatchObject({ ok: true, perCluster: true });
  expect(substituteValues({ hosts: [{ name: "${region}" }] }, parameters)).toMatchObject({ at: "hosts[0].name" });
});
