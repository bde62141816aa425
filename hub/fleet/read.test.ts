import fc from "fast-check";
import { expect, test } from "vitest";
import { filesOf, problemsOf, wholeFleet, written } from "#hub/fleet/fleet-fixture.ts";
import { fleetReader, readFleet } from "#hub/fleet/read.ts";
import { applicationName, clusterId, environmentName } from "#proto/ids.ts";

test("reads every kind, with its defaults, and knows where each was written", () => {
  const { fleet, problems } = readFleet(filesOf(wholeFleet));
  expect(problems).toEqual([]);
  expect(fleet.failed).toEqual([]);
  expect(fleet.clusters.get(clusterId("eu-1"))).toEqual({
    name: "eu-1",
    labels: { env: "prod", region: "eu" },
    file: "fleet/clusters.yaml",
    line: 1,
  });
  expect(fleet.clusters.get(clusterId("s-1"))?.line).toBe(5);
  expect(fleet.environments.get(environmentName("prod"))).toMatchObject({
    revisions: { promotedFrom: ["staging"], auto: false },
    kubernetes: { version: "1.30" },
    gates: { soak: 1_800_000, windows: [{ from: "09:00", zone: "Europe/Berlin" }] },
    rollout: { waves: [{ soak: 600_000 }, { percent: 25 }, { percent: 100 }], maxUnavailable: { percent: 10 } },
  });
  expect(fleet.applications.get(applicationName("podinfo"))).toMatchObject({
    source: { repository: "apps", render: "helm", helm: { values: { replicas: 2, mode: 0.1 } } },
    delivery: { timeoutMs: 120_000, prune: { enabled: true, budgetPercent: 50 } },
  });
  expect(fleet.applications.get(applicationName("web"))).toEqual({
    name: "web",
    source: {
      repository: null,
      path: "web",
      render: "auto",
      include: [],
      exclude: [],
      parameters: false,
      clusterScoped: [],
      helm: { chart: null, values: {}, valuesFiles: [], once: [] },
    },
    namespace: "web",
    environments: ["staging"],
    dependsOn: ["podinfo"],
    delivery: {
      drift: "correct",
      strict: false,
      adopt: "ifEqual",
      serviceAccount: "",
      timeoutMs: 300_000,
      prune: { enabled: true, budgetPercent: 20, protected: [] },
    },
    file: "fleet/apps/podinfo.yml",
    line: 14,
  });
  expect(fleet.promotions.get("prod/podinfo")).toMatchObject({ revision: "1".repeat(40), allowPrune: "" });
  expect(fleet.removals.get("old")).toMatchObject({ application: "long-gone", scope: { cluster: "eu-1" } });
  expect(fleet.exceptions.get("incident")).toMatchObject({
    scope: { environment: "prod" },
    untilMs: Date.UTC(2026, 2, 1, 18),
  });
  expect(fleet.freezes.get("holidays")).toMatchObject({ untilMs: Date.UTC(2026, 0, 1, 23), healing: false });
  expect(fleet.repositories.get("apps")).toMatchObject({ credentials: { secret: { key: "ssh" } } });
  expect(fleet.access.get("people")).toMatchObject({
    grants: [{ roles: [{ role: "viewer" }, { role: "promoter", environments: ["staging"] }] }],
    tokens: [{ name: "ci", roles: [{ role: "operator" }] }],
  });
  expect(fleet.healthRules.get("certificates")).toMatchObject({ failed: null });
  expect(fleet.notifications.get("chat")).toMatchObject({ to: { kind: "slack" } });
});

test("one broken document leaves out itself alone, and is known by kind and name", () => {
  const texts = {
    ...wholeFleet,
    "fleet/apps/podinfo.yml": wholeFleet["fleet/apps/podinfo.yml"]!.replace("namespace: web", "namespaces: web"),
  };
  const { fleet } = readFleet(filesOf(texts));
  expect([...fleet.applications.keys()]).toEqual(["podinfo"]);
  expect(fleet.failed).toEqual([
    { file: "fleet/apps/podinfo.yml", line: 14, kind: "Application", name: "web", environment: null },
  ]);
  expect(problemsOf(texts)).toEqual([
    "fleet/apps/podinfo.yml:17: spec.namespace is required",
    "fleet/apps/podinfo.yml:19: spec.namespaces is no known field",
  ]);
});

test("a document that is no YAML spoils no other of its file, and its name is still known", () => {
  const good = written("Cluster", "good", "");
  const { fleet, problems } = readFleet(
    filesOf({ "a.yaml": `${written("Freeze", "all", 'spec: {reason: "never closed\n')}---\n${good}` }),
  );
  expect([...fleet.clusters.keys()]).toEqual(["good"]);
  expect(fleet.failed).toMatchObject([{ kind: "Freeze", name: "all" }]);
  expect(problems[0]).toMatchObject({ file: "a.yaml", field: "" });
});

test("reads only .yaml and .yml, CRLF, a byte order mark, empty documents and several a file", () => {
  const cluster = (name: string): string => written("Cluster", name, "").replaceAll("\n", "\r\n");
  const { fleet, problems } = readFleet(
    filesOf({
      "a.yaml": `\uFEFF# only a comment\r\n---\r\n---\r\n${cluster("a")}---\r\n\r\n--- # the next\r\n${cluster("b")}`,
      "b.YML": cluster("c"),
      "README.md": "kind: Cluster",
      "c.yaml": "",
    }),
  );
  expect(problems).toEqual([]);
  expect([...fleet.clusters].map(([name, { line }]) => [name, line])).toEqual([
    ["a", 4],
    ["b", 10],
    ["c", 1],
  ]);
});

test("any garbage gives problems or documents, and never throws", () => {
  const lines = Object.values(wholeFleet).flatMap((text) => text.split("\n"));
  const fragments = [
    ...lines,
    "---",
    "- [",
    "}",
    "&a",
    "*a",
    "<<: *a",
    "!!binary x",
    "__proto__: {x: 1}",
    "? [a]",
    "\t",
    "spec: ~",
  ];
  const garbage = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.array(fc.constantFrom(...fragments), { maxLength: 40 }).map((lines) => Buffer.from(lines.join("\n"))),
    fc.json().map((text) => Buffer.from(text)),
  );
  fc.assert(
    fc.property(fc.array(garbage, { maxLength: 3 }), (contents) => {
      const files = contents.map((bytes, index) => ({ path: `${index}.yaml`, bytes }));
      const { fleet, problems } = readFleet(files);
      for (const { line, file } of [...problems, ...fleet.failed]) {
        expect(line).toBeGreaterThan(0);
        expect(file).toMatch(/^\d\.yaml$/);
      }
      if (fleet.failed.length > 0) expect(problems.length).toBeGreaterThan(0);
    }),
    { numRuns: 500 },
  );
});

test("any field of any kind may hold any value without an exception", () => {
  const values = fc.json().map((text) => text.slice(0, 200));
  const documents = Object.values(wholeFleet).flatMap((text) => text.split("---\n"));
  fc.assert(
    fc.property(fc.constantFrom(...documents), fc.nat(), values, (document, at, value) => {
      const lines = document.split("\n");
      const chosen = at % lines.length;
      lines[chosen] = lines[chosen]!.replace(/: .*$/, `: ${value}`);
      readFleet(filesOf({ "a.yaml": lines.join("\n") }));
    }),
    { numRuns: 500 },
  );
});

test("a reader that has seen the commit before says what one without a past would say", () => {
  const lines = Object.values(wholeFleet).join("---\n").split("\n");
  const commit = fc.dictionary(
    fc.constantFrom("a.yaml", "b.yaml", "c.txt"),
    fc.subarray(lines).map((kept) => kept.join("\n")),
  );
  fc.assert(
    fc.property(fc.array(commit, { maxLength: 4 }), (commits) => {
      const read = fleetReader();
      for (const texts of commits) expect(read(filesOf(texts))).toEqual(readFleet(filesOf(texts)));
    }),
    { numRuns: 50 },
  );
});
