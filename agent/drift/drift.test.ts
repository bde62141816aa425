import fc from "fast-check";
import { expect, test } from "vitest";
import { canonicalJson } from "#proto/json.ts";
import type { Json, JsonObject, KubeObject, ManagedFieldsEntry } from "#proto/object.ts";
import { baselineOf, compare, normalForm, normalText, type Comparison } from "./baseline.ts";
import { driftOf, explainForeign, unknownTool } from "./explain.ts";

const owned: JsonObject = {
  "f:metadata": { "f:labels": { "f:plumbline.dev/agent": {} } },
  "f:spec": {
    "f:replicas": {},
    "f:hostNetwork": {},
    "f:securityContext": {},
    "f:finalizers": { 'v:"keep"': {} },
    "f:selector": {},
    "f:containers": {
      'k:{"name":"web"}': {
        ".": {},
        "f:name": {},
        "f:image": {},
        "f:ports": { 'k:{"containerPort":80,"protocol":"TCP"}': { ".": {}, "f:containerPort": {} } },
      },
    },
  },
};
const spec = (): JsonObject => ({
  replicas: 3,
  securityContext: {},
  finalizers: ["keep"],
  selector: { app: "web" },
  strategy: "defaulted",
  containers: [{ name: "web", image: "shop:1", ports: [{ containerPort: 80, protocol: "TCP" }], pull: "Always" }],
});
const entry = (manager: string, fieldsV1: JsonObject, more: Partial<ManagedFieldsEntry> = {}): ManagedFieldsEntry => ({
  manager,
  operation: "Update",
  time: "2030-01-01T00:00:05Z",
  fieldsV1,
  ...more,
});
const ours = (fields: JsonObject = owned) => entry("plumbline", fields, { operation: "Apply" });
const object = (change: (spec: JsonObject) => void = () => {}, entries = [ours()]): KubeObject => {
  const changed = spec();
  change(changed);
  const labels = { "plumbline.dev/agent": "prod-eu" };
  const metadata = { name: "web", namespace: "shop", labels, managedFields: entries };
  return { apiVersion: "apps/v1", kind: "Deployment", metadata, spec: changed };
};
const without = (field: string): JsonObject => {
  const fields = structuredClone(owned);
  delete (fields["f:spec"] as JsonObject)[field];
  return fields;
};
const web = (spec: JsonObject): JsonObject => (spec["containers"] as JsonObject[])[0]!;

// The numbers are the case table's.
const cases: [string, (spec: JsonObject) => void, Comparison][] = [
  ["1: nothing", () => {}, "same"],
  ["2: a field that we never sent", (spec) => (spec["strategy"] = "other"), "same"],
  ["4: an empty field dropped", (spec) => delete spec["securityContext"], "same"],
  ["4: an empty field filled without its ownership", (spec) => (spec["securityContext"] = { runAsUser: 1 }), "same"],
  ["4: a field that the server left out comes back", (spec) => (spec["hostNetwork"] = false), "same"],
  ["14: a value behind kept ownership", (spec) => (spec["replicas"] = 5), "valuesChanged"],
  ["14: a value removed", (spec) => delete spec["replicas"], "valuesChanged"],
  ["16: items reordered and added", (spec) => (spec["containers"] = [{ name: "side" }, web(spec)]), "same"],
  ["16: a value in an item", (spec) => (web(spec)["image"] = "shop:2"), "valuesChanged"],
  ["16: an item removed", (spec) => (spec["containers"] = []), "valuesChanged"],
  ["17: a member added by others", (spec) => (spec["finalizers"] = ["other", "keep"]), "same"],
  ["17: our member removed", (spec) => (spec["finalizers"] = ["other"]), "valuesChanged"],
  ["4: an empty value within an atomic one", (spec) => (spec["selector"] = { app: "web", none: {}, more: [] }), "same"],
  ["17: an atomic map", (spec) => (spec["selector"] = { app: "web", more: "x" }), "valuesChanged"],
];

test.each(cases)("case %s", (_name, change, expected) => {
  expect(compare(baselineOf(object()), object(change))).toBe(expected);
});

test("sees that a path was taken from us, or all entries cleared", () => {
  const baseline = baselineOf(object());
  expect(
    compare(
      baseline,
      object(() => {}, [ours(without("f:replicas"))]),
    ),
  ).toBe("ownershipChanged");
  expect(
    compare(
      baseline,
      object(() => {}, []),
    ),
  ).toBe("ownershipChanged");
});

test("reads list keys by meaning, not by their text", () => {
  const text = JSON.stringify(owned).replace(
    String.raw`{\"containerPort\":80,\"protocol\":\"TCP\"}`,
    String.raw`{\"protocol\":\"TCP\",\"containerPort\":80}`,
  );
  expect(text).not.toBe(JSON.stringify(owned));
  expect(
    compare(
      baselineOf(object()),
      object(() => {}, [ours(JSON.parse(text) as JsonObject)]),
    ),
  ).toBe("same");
});

test("5: checks only ownership where we sent empty and another filled", () => {
  const filled = (user: number) => object((spec) => (spec["securityContext"] = { runAsUser: user }));
  expect(compare(baselineOf(filled(1), object()), filled(2))).toBe("same");
  expect(compare(baselineOf(filled(1)), filled(2))).toBe("valuesChanged");
});

test("tells no drift from a baseline of another format", () => {
  expect(
    compare(
      { ...baselineOf(object()), format: 0 },
      object((spec) => (spec["replicas"] = 9)),
    ),
  ).toBe("unknownFormat");
});

test("8: names field, values, tool and second of a change", () => {
  const edit = entry("kubectl-edit", { "f:spec": { "f:containers": { 'k:{"name":"web"}': { "f:image": {} } } } });
  const status = entry("kubelet", { "f:status": { "f:x": {} } }, { time: "2030-01-01T00:00:09Z" });
  const seen = object((spec) => (web(spec)["image"] = "shop:evil"), [ours(without("f:containers")), status, edit]);
  expect(driftOf(object(), seen, "salt")).toEqual({
    fields: [{ path: "spec.containers[name=web].image", before: "shop:1", after: "shop:evil" }],
    tool: "kubectl-edit",
    changedAtMs: Date.parse("2030-01-01T00:00:05Z"),
  });
});

test("9: finds nothing where only ownership changed", () => {
  expect(
    driftOf(
      object(),
      object(() => {}, [entry("kubectl", owned)]),
      "salt",
    ),
  ).toBeUndefined();
});

test("14: says unknown for an untracked change", () => {
  expect(
    driftOf(
      object(),
      object((spec) => (spec["replicas"] = 1)),
      "salt",
    ),
  ).toMatchObject({
    tool: unknownTool,
    changedAtMs: 0,
  });
});

test("19: who owns a field beside us is not told as the tool of a change that left it in our entry", () => {
  const beside = entry("helm", { "f:spec": { "f:replicas": {} } }, { operation: "Apply" });
  const forged = object((spec) => (spec["replicas"] = 1), [ours(), beside]);
  expect(driftOf(object(), forged, "salt")).toMatchObject({ tool: unknownTool, changedAtMs: 0 });
  const open = object((spec) => (spec["replicas"] = 1), [ours(without("f:replicas")), beside]);
  expect(driftOf(object(), open, "salt")).toMatchObject({ tool: "helm" });
});

test("14: who owns an empty value around a changed field did not change it", () => {
  const around = entry("operator", { "f:spec": { "f:containers": { 'k:{"name":"web"}': { ".": {} } } } });
  const seen = object((spec) => (web(spec)["image"] = "shop:evil"), [ours(), around]);
  expect(driftOf(object(), seen, "salt")).toMatchObject({ tool: unknownTool });
});

test("14: nor who owns it around a field that was taken from us", () => {
  const around = entry("operator", { "f:spec": { "f:containers": { 'k:{"name":"web"}': { ".": {} } } } });
  const edit = entry("kubectl", { "f:spec": { "f:containers": { 'k:{"name":"web"}': { "f:image": {} } } } });
  const evil = (spec: JsonObject) => (web(spec)["image"] = "shop:evil");
  expect(driftOf(object(), object(evil, [ours(without("f:containers")), around]), "salt")).toMatchObject({
    tool: unknownTool,
  });
  expect(driftOf(object(), object(evil, [ours(without("f:containers")), around, edit]), "salt")).toMatchObject({
    tool: "kubectl",
  });
});

test("8: of several that own what changed the newest is told", () => {
  const replicas = { "f:spec": { "f:replicas": {} } };
  const at = (manager: string, second: number) =>
    entry(manager, replicas, { time: `2030-01-01T00:00:0${second}Z`, operation: "Apply" });
  const seen = object(
    (spec) => (spec["replicas"] = 1),
    [ours(without("f:replicas")), at("a", 3), at("b", 7), at("c", 5)],
  );
  expect(driftOf(object(), seen, "salt")).toMatchObject({
    tool: "b",
    changedAtMs: Date.parse("2030-01-01T00:00:07Z"),
  });
});

test("4: an empty value that is there in one and not in the other is no difference", () => {
  const emptied = object((spec) => {
    delete spec["securityContext"];
    spec["selector"] = { app: "web", none: [] };
    spec["replicas"] = 4;
  });
  expect(driftOf(object(), emptied, "salt")?.fields.map(({ path }) => path)).toEqual(["spec.replicas"]);
});

test("shows digests in place of secrets and of big values", () => {
  const secret = (value: string): KubeObject => ({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "db", managedFields: [ours({ "f:data": { "f:tls.key": {} } })] },
    data: { "tls.key": value },
  });
  const drift = driftOf(secret("Y2FuYXJ5"), secret("b3RoZXI="), "salt");
  expect(drift?.fields[0]?.path).toBe('data["tls.key"]');
  expect(JSON.stringify(drift)).not.toMatch(/Y2FuYXJ5|b3RoZXI/);
  const big = driftOf(
    object(),
    object((spec) => (spec["selector"] = { app: "x".repeat(300) })),
    "salt",
  );
  expect(big?.fields[0]).toMatchObject({ before: '{"app":"web"}', after: expect.stringMatching(/^hmac-sha256:/) });
});

test("another cluster's digest of the same secret is another, and what others put into a secret is a digest too", () => {
  const secret = (data: JsonObject): KubeObject => ({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "tls", managedFields: [ours({ "f:data": { "f:key": {} } })] },
    data,
  });
  const shown = (salt: string) => driftOf(secret({ key: "eWVz" }), secret({ key: "bm8=" }), salt)?.fields[0]?.after;
  expect(shown("one")).toMatch(/^hmac-sha256:/);
  // Or whoever reads a report could try what the value may be.
  expect(shown("one")).not.toBe(shown("two"));
  const [foreign] = explainForeign(secret({ extra: "Y2FuYXJ5" }), [{ path: "data.extra", tool: "helm" }], "salt");
  expect(foreign).toMatchObject({ path: "data.extra", after: expect.stringMatching(/^hmac-sha256:/) });
});

test("what earlier agents stored means the same to this one", () => {
  // Of format 1. Another hash here needs another format: every cluster would tell drift otherwise.
  expect(baselineOf(object())).toEqual({
    format: 1,
    ownershipHash: "89dadca35367f7a41437cb0746ff1a3bbfdf0fd6fb0d9952d965252831034cd7",
    valueHash: "ce604e77dc5c18d32138393144a6729146467c735339a128dbe00a82eff444d7",
    empty: ["spec.hostNetwork", "spec.securityContext"],
  });
});

test("the text of a normal form is that of its canonical JSON, whatever the value", () => {
  const values = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 5 },
      fc.constantFrom(null, "", "null", 0, false, 2n ** 60n),
      fc.string(),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.array(tie("value"), { maxLength: 4 }),
      fc.dictionary(fc.oneof(fc.string(), fc.constantFrom("10", "9", "a")), tie("value"), { maxKeys: 4 }),
    ),
  })).value as fc.Arbitrary<Json>;
  fc.assert(
    fc.property(values, (value) => {
      expect(normalText(value)).toBe(canonicalJson(normalForm(value)));
    }),
    { numRuns: 500 },
  );
});

test("a field set is read the same when it is met again, and beside many others", () => {
  const baseline = baselineOf(object());
  for (let n = 0; n < 500; n += 1) {
    const fields = { "f:spec": { [`f:field-${n}`]: {}, ...(owned["f:spec"] as JsonObject) } };
    expect(
      compare(
        baseline,
        object(() => {}, [ours(fields)]),
      ),
    ).toBe("ownershipChanged");
  }
  expect(compare(baseline, object())).toBe("same");
  expect(
    compare(
      baseline,
      object((spec) => (spec["replicas"] = 4)),
    ),
  ).toBe("valuesChanged");
});
