import { createHash } from "node:crypto";
import { ApplicationStatus } from "#proto/gen/plumbline/agent/v1/agent.ts";

/** What an agent's whole report hashes to, times left out: when the hub's is equal, no full report follows a Hello. */
export function reportHash(statuses: Iterable<ApplicationStatus>): Buffer {
  const sorted = [...statuses].sort((a, b) => (a.application < b.application ? -1 : 1));
  const hash = createHash("sha256");
  for (const status of sorted) {
    const bytes = ApplicationStatus.encode({ ...status, atMs: 0n }).finish();
    hash.update(`${bytes.length}\n`).update(bytes);
  }
  return hash.digest();
}
