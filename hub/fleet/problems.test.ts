import { describe, expect, test } from "vitest";
import { problemsOf, wholeFleet, written } from "#hub/fleet/fleet-fixture.ts";

/** Problems of one document beside the whole fleet. */
const beside = (text: string): string[] => problemsOf({ ...wholeFleet, "x.yaml": text });
const environment = (spec: string): string =>
  written("Environment", "x", `spec:\n  clusters: {matchLabels: {}}\n  revisions: {follow: main}\n${spec}`);
const application = (spec: string): string =>
  written("Application", "x", `spec:\n  namespace: x\n  environments: [prod]\n${spec}`);
const promotion = (spec: string): string => written("Promotion", "x", `spec: {application: web, ${spec}}`);
const repository = (spec: string): string => written("Repository", "x", `spec: ${spec}`);
const signer = (spec: string): string => written("Signer", "x", `spec: ${spec}`);
const access = (spec: string): string => written("Access", "x", `spec: ${spec}`);

describe("names file, line and field", () => {
  const full = "1".repeat(40);
  const cases: [string, string][] = [
    // The document as a whole.
    ["apiVersion: v1\nkind: ConfigMap\n", "1: apiVersion must be plumbline.dev/v1"],
    ["apiVersion: plumbline.dev/v1\nkind: Clutser\n", "2: kind must be one of Cluster, Environment"],
    ["- a\n", "1: is no fleet document"],
    [written("Cluster", "Eu_1", ""), "3: metadata.name must be a DNS label"],
    [written("Cluster", "c".repeat(64), ""), "3: metadata.name must be a DNS label"],
    [written("Cluster", "x", "spec: {}\n"), "4: spec is no known field"],
    [written("Cluster", "x", "kind: Cluster\n"), "4: kind stands here twice: keep one"],
    [
      "apiVersion: plumbline.dev/v1\nkind: Cluster\nmetadata:\n  name: x\n  labels:\n    canary: true\n",
      "6: metadata.labels.canary must be string: quote it",
    ],
    [
      "apiVersion: plumbline.dev/v1\nkind: Cluster\nmetadata:\n  name: x\n  labels: {-a: b}\n",
      "5: metadata.labels.-a is no label name",
    ],
    [
      "apiVersion: plumbline.dev/v1\nkind: Cluster\nmetadata:\n  name: x\n  __proto__: {a: b}\n",
      "5: metadata.__proto__ is no known field",
    ],
    // Environment.
    [environment("  gates: {soak: 30 minutes}\n"), "7: spec.gates.soak must be a duration"],
    [environment("  gates:\n    soak: 30\n"), "8: spec.gates.soak must be a duration"],
    [
      environment("  gates: {approvals: {count: 0, by: [release]}}\n"),
      "7: spec.gates.approvals.count must be at least 1",
    ],
    [
      environment("  gates: {windows: [{from: 25:00, to: 09:00}]}\n"),
      "7: spec.gates.windows[0].from must be a time of day",
    ],
    [
      environment('  gates: {windows: [{from: "01:00", to: "09:00", zone: Mars/Base}]}\n'),
      "7: spec.gates.windows[0].zone is no time zone",
    ],
    [environment("  signatures: {require: all}\n"), "7: spec.signatures.signers must name who may sign"],
    [
      environment("  signatures:\n    require: all\n    signers: [release, nobody]\n"),
      "9: spec.signatures.signers[1] names the Signer nobody, which is not declared",
    ],
    [environment("  signatures: {signers: [a@example.com]}\n"), "7: spec.signatures.signers[0] must be a DNS label"],
    [signer("{}\n"), "4: spec must hold a key: ssh, pgp or both"],
    [signer("{ssh: [dev1@example.com]}\n"), "4: spec.ssh[0] is no line of an allowed-signers file"],
    [signer("{pgp: [AAAA]}\n"), "4: spec.pgp[0] must begin with -----BEGIN PGP PUBLIC KEY BLOCK-----"],
    [
      environment("  rollout:\n    waves:\n      - percent: 50\n      - percent: 25\n      - percent: 100\n"),
      "10: spec.rollout.waves[1].percent must be more than the 50%",
    ],
    [environment("  rollout:\n    waves: [{percent: 50}]\n"), "8: spec.rollout.waves[0] must be percent: 100"],
    [
      environment("  rollout:\n    waves:\n      - {percent: 100, matchLabels: {a: b}}\n"),
      "9: spec.rollout.waves[0] must say either matchLabels or percent",
    ],
    [environment("  rollout: {maxUnavailable: 0%}\n"), "7: spec.rollout.maxUnavailable must be a percentage"],
    [environment("  rollout: {onFailure: rollback}\n"), "7: spec.rollout.onFailure must be halt"],
    [environment("  kubernetes: {version: latest}\n"), "7: spec.kubernetes.version must be a Kubernetes version"],
    [
      written(
        "Environment",
        "x",
        "spec:\n  clusters: {matchLabels: {}}\n  revisions: {follow: main, promotedFrom: [prod]}\n",
      ),
      "6: spec.revisions must say either follow or promotedFrom",
    ],
    [
      written("Environment", "x", "spec:\n  clusters: {matchLabels: {}}\n  revisions: {follow: --upload-pack=x}\n"),
      "6: spec.revisions.follow is no name of a Git branch",
    ],
    [
      written("Environment", "x", "spec:\n  clusters: {matchLabels: {}}\n  revisions: {promotedFrom: [nowhere]}\n"),
      "6: spec.revisions.promotedFrom[0] names the Environment nowhere, which is not declared",
    ],
    [
      written("Environment", "x", "spec:\n  clusters: {matchLabels: {}}\n  revisions: {promotedFrom: [x]}\n"),
      "6: spec.revisions.promotedFrom goes in a circle: x → x",
    ],
    // Application.
    [application("  source: {path: ../secrets}\n"), "7: spec.source.path must be a path inside the repository"],
    [application("  source: {path: /etc}\n"), "7: spec.source.path must be a path inside the repository"],
    [application("  source:\n    path: a/${region}\n"), "8: spec.source.path holds the unknown parameter ${region}"],
    [
      application("  source: {path: a, repository: nowhere}\n"),
      "7: spec.source.repository names the Repository nowhere",
    ],
    [
      application("  source: {path: a, render: plain, helm: {valuesFiles: [b]}}\n"),
      "7: spec.source.helm is for Helm charts",
    ],
    // Values that Helm's own reader takes for something else than this document's would be wrong in silence.
    [
      application("  source: {path: a, helm: {values: {db: {enabled: no}}}}\n"),
      "7: spec.source.helm.values.db.enabled is no, which Helm reads as false and this document does not",
    ],
    [
      application("  source:\n    path: a\n    helm:\n      values:\n        modes: [1, 0644]\n"),
      "11: spec.source.helm.values.modes[1] is 0644, which Helm reads as another number",
    ],
    [
      application("  source: {path: a, helm: {values: {size: 1_000}}}\n"),
      "7: spec.source.helm.values.size is 1_000, which Helm reads as a number",
    ],
    [application("  source: {path: a}\n  dependsOn: [x]\n"), "8: spec.dependsOn goes in a circle: x → x"],
    [application("  source: {path: a}\n  dependsOn: [y]\n"), "8: spec.dependsOn[0] names the Application y"],
    [
      application("  source: {path: a}\n  delivery: {prune: {budget: 120%}}\n"),
      "8: spec.delivery.prune.budget must be a percentage",
    ],
    [
      application("  source: {path: a}\n  delivery: {drift: fix}\n"),
      "8: spec.delivery.drift must be correct or report",
    ],
    [application("  source: {path: a}\n  delivery: {strict: yes}\n"), "8: spec.delivery.strict must be boolean"],
    [
      written("Application", "x", "spec: {namespace: x, environments: [prod, prod], source: {path: a}}\n"),
      "4: spec.environments names one of its items twice",
    ],
    // Requests.
    [promotion(`environment: staging, revision: main`), "4: spec.revision must be a full commit id"],
    [
      promotion(`environment: prod, revision: ${full}`),
      "4: spec.environment names prod, but the Application web is not delivered there",
    ],
    [promotion(`environment: nowhere, revision: ${full}`), "4: spec.environment names the Environment nowhere"],
    [
      written("Removal", "x", "spec: {application: web, environment: prod, cluster: eu-1, mode: delete}\n"),
      "4: spec must name either an environment or a cluster",
    ],
    [
      written("Removal", "x", "spec: {application: web, mode: delete}\n"),
      "4: spec must name either an environment or a cluster",
    ],
    [
      written("Removal", "x", "spec: {application: web, cluster: eu-9, mode: delete}\n"),
      "4: spec.cluster names the Cluster eu-9, which is not declared",
    ],
    [written("Removal", "x", "spec: {application: web, cluster: eu-1}\n"), "4: spec.mode must be delete or orphan"],
    [
      written("DriftException", "x", "spec: {application: web, cluster: eu-1, object: everything, fields: [a]}\n"),
      "4: spec.object must be an object as drift reports print it",
    ],
    [written("Freeze", "x", "spec: {until: tomorrow}\n"), "4: spec.until must be a moment"],
    [
      written("Freeze", "x", "spec: {environments: [nowhere]}\n"),
      "4: spec.environments[0] names the Environment nowhere",
    ],
    // Settings.
    [repository("{url: file:///etc}\n"), "4: spec.url must be an https:// or ssh:// address"],
    [repository("{url: 'ext::sh -c id'}\n"), "4: spec.url must be an https:// or ssh:// address"],
    [
      repository("{url: git@example.com:a/b}\n"),
      "4: spec.url must be an https:// or ssh:// address (ssh://git@host/path",
    ],
    [
      repository("{url: https://example.com/a, credentials: {file: a, secret: {namespace: a, name: b, key: c}}}\n"),
      "4: spec.credentials must name either a file or a secret",
    ],
    [
      repository("{url: ssh://git@example.com/a, credentials: {file: a}}\n"),
      "4: spec.hostKeys must name a line of known_hosts",
    ],
    [
      repository("{url: ssh://git@example.com/a, hostKeys: [example.com ssh-ed25519 AAAA]}\n"),
      "4: spec.credentials must name a private key",
    ],
    [
      access("{grants: [{to: [everyone], roles: [viewer]}]}\n"),
      "4: spec.grants[0].to[0] must be group:NAME or user:NAME",
    ],
    [access('{grants: [{to: ["user:a"], roles: [root]}]}\n'), "4: spec.grants[0].roles[0] must be viewer, approver"],
    [
      access('{grants: [{to: ["user:a"], roles: [{promoter: [nowhere]}]}]}\n'),
      "4: spec.grants[0].roles[0].promoter[0] names the Environment nowhere",
    ],
    [
      access("{tokens: [{name: a, sha256: secret, roles: [viewer]}]}\n"),
      "4: spec.tokens[0].sha256 must be the SHA-256",
    ],
    [
      access(`{tokens: [{name: b, sha256: ${"ab".repeat(32)}, roles: [viewer]}]}\n`),
      "4: spec.tokens[0] has the name or the hash of another token",
    ],
    [written("HealthRule", "x", "spec: {apiVersion: v1, kind: X}\n"), "4: spec.current is required"],
    [
      written("HealthRule", "x", "spec: {apiVersion: v1, kind: X, current: object.status ==}\n"),
      "4: spec.current is no rule in CEL: Unexpected token",
    ],
    [
      written("HealthRule", "x", "spec: {apiVersion: v1, kind: X, current: 'true', failed: '1 + 1'}\n"),
      "4: spec.failed is no rule in CEL: gives int, and must give true or false",
    ],
    [
      written("HealthRule", "x", "spec: {apiVersion: cert-manager.io/v1, kind: Certificate, current: 'true'}\n"),
      "4: spec.kind is judged by the HealthRule certificates already: keep one",
    ],
    [
      written("Notification", "x", "spec: {events: [], to: {kind: pigeon, address: {file: a}}}\n"),
      "4: spec.events must have at least 1 in its list",
    ],
  ];
  test.each(cases.map(([text, expected]) => ({ text, expected })))("$expected", ({ text, expected }) => {
    const [first] = beside(text);
    expect(first).toContain(`x.yaml:${expected}`);
  });
});

test("never prints a credential that somebody put into a document", () => {
  const canary = "hunter2canary";
  const texts = [
    repository(`{url: "https://bot:${canary}@example.com/a"}\n`),
    repository(`{url: "https://example.com/a?token=${canary}"}\n`),
    repository(`{url: "https://${canary}@example.com/a"}\n`),
    repository(`{url: ${canary}}\n`),
    repository(`{url: https://example.com/a, credentials: ${canary}}\n`),
    repository(`{url: https://example.com/a, credentials: {password: ${canary}}}\n`),
    repository(`{url: "https://bot:${canary}@example.com/a}\n`),
    repository(`{url: [https://bot:${canary}@example.com/a}\n`),
    access(`{tokens: [{name: a, sha256: ${canary}, roles: [${canary}]}]}\n`),
  ];
  for (const text of texts) {
    expect(beside(text).length, text).toBeGreaterThan(0);
    expect(beside(text).join("\n")).not.toContain(canary);
  }
});

test("a name declared twice is no one's: both documents are left out, each naming the other", () => {
  const cluster = written("Cluster", "twin", "");
  expect(problemsOf({ "a.yaml": cluster, "b.yaml": `\n${cluster}` })).toEqual([
    "a.yaml:3: metadata.name is declared again at b.yaml:2: keep one",
    "b.yaml:4: metadata.name is declared again at a.yaml:1: keep one",
  ]);
});

test("environments that wait for each other are refused, and those that wait for them are not", () => {
  const from = (name: string, source: string): string =>
    written("Environment", name, `spec: {clusters: {matchLabels: {}}, revisions: {promotedFrom: [${source}]}}\n`);
  expect(problemsOf({ "a.yaml": from("a", "b"), "b.yaml": from("b", "a"), "c.yaml": from("c", "a") })).toEqual([
    "a.yaml:4: spec.revisions.promotedFrom goes in a circle: a → b → a",
    "b.yaml:4: spec.revisions.promotedFrom goes in a circle: b → a → b",
  ]);
});

test("what names a document that is broken stays, so that one problem does not spread", () => {
  const texts = {
    ...wholeFleet,
    "fleet/settings.yaml": wholeFleet["fleet/settings.yaml"]!.replace("ssh://git@", "ftp://git@"),
  };
  expect(problemsOf(texts)).toEqual([expect.stringContaining("fleet/settings.yaml:5: spec.url must be")]);
});

test.each([
  [
    "aliases of aliases",
    `a: &a [x,x,x,x,x,x,x,x,x]\n${"bcdefghi"
      .split("")
      .map((name, index) => `${name}: &${name} [${Array(9).fill(`*${"abcdefgh"[index]}`).join()}]`)
      .join("\n")}\n`,
  ],
  ["an alias of itself", "a: &a [*a]\n"],
  ["depth", `a: ${"[".repeat(20_000)}${"]".repeat(20_000)}\n`],
  ["many keys", Array.from({ length: 45_000 }, (_, index) => `k${index}: 1`).join("\n")],
  ["one key many times", "k: 1\n".repeat(90_000)],
  ["many documents of one name", `${written("Cluster", "x", "")}---\n`.repeat(5_000)],
  ["an unknown tag", "a: !run x\n"],
  ["no number", "a: .nan\n"],
  ["a file that is too large", " ".repeat(512 * 1024 + 1)],
])(
  "a bomb is refused: %s",
  (_, text) => {
    expect(problemsOf({ "bomb.yaml": text })[0]).toMatch(/^bomb\.yaml:\d+: /);
  },
  // One that does go off takes for ever.
  60_000,
);
