import fc from "fast-check";
import { expect, test } from "vitest";
import {
  formatClusterRecord,
  formatRolloutRecord,
  parseClusterRecord,
  parseRolloutRecord,
  RecordProblem,
} from "#hub/decide/record.ts";
import { applicationName, clusterId, environmentName, revision } from "#proto/ids.ts";

const key = { environment: environmentName("prod"), application: applicationName("web") };
const anyRevision = fc.stringMatching(/^[0-9a-f]{40}$/).map(revision);

test("reads back what it wrote, also commit ids that look like numbers", () => {
  const numeric = [revision("1".repeat(40)), revision(`1e${"0".repeat(38)}`), revision("0".repeat(40))];
  fc.assert(
    fc.property(fc.array(anyRevision, { maxLength: 5 }), (revisions) => {
      const record = { ...key, qualified: [...numeric, ...revisions], completed: revisions };
      expect(parseRolloutRecord("record/prod/web.yaml", formatRolloutRecord(record))).toEqual(record);
    }),
  );
});

const cluster = {
  cluster: clusterId("eu-1"),
  spki: Buffer.alloc(91, 3).toString("base64"),
  nkey: `U${"A".repeat(55)}`,
  sealingKey: Buffer.alloc(32, 9).toString("base64"),
  jti: "one",
  acceptedBy: "token",
  acceptedAtMs: 5,
  revoked: null,
};

test("reads back a cluster's keys and its revocation", () => {
  expect(parseClusterRecord("clusters/eu-1.yaml", formatClusterRecord(cluster))).toEqual(cluster);
  const revoked = { ...cluster, revoked: { atMs: 9, because: "stolen: laptop" } };
  expect(parseClusterRecord("clusters/eu-1.yaml", formatClusterRecord(revoked))).toEqual(revoked);
});

test("refuses a record that lies in another's place, or says more than it may", () => {
  const text = formatClusterRecord(cluster);
  expect(() => parseClusterRecord("clusters/eu-2.yaml", text)).toThrow("belongs at clusters/eu-1.yaml");
  expect(() => parseClusterRecord("clusters/eu-1.yaml", `${text}admin: true\n`)).toThrow(RecordProblem);
  expect(() => parseRolloutRecord("record/prod/web.yaml", text)).toThrow(RecordProblem);
});
