import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inject } from "vitest";
import { readAuditLog } from "#test/harness/audit-log.ts";
import { openAuthority } from "#test/harness/authority.ts";
import type { ControlPlane } from "#test/harness/control-plane.ts";
import { writeKubeconfig } from "#test/harness/kubeconfig.ts";

/**
 * The control plane that all files of a run share: for tests to which a fresh namespace is enough. They name their users
 * and what has no namespace after themselves, and neither stop the servers nor look at what others have there.
 */
export type SharedControlPlane = Pick<
  ControlPlane,
  "server" | "caPem" | "adminKubeconfig" | "kubeconfig" | "requests"
> &
  AsyncDisposable;

export async function openSharedControlPlane(): Promise<SharedControlPlane> {
  const { server, auditLog, authority: keys } = inject("controlPlane");
  const authority = await openAuthority(keys);
  const folder = await mkdtemp(join(tmpdir(), "plumbline-kubeconfigs-"));
  const kubeconfig = (user: string, groups: readonly string[] = []): Promise<string> =>
    writeKubeconfig(folder, authority, server, user, groups);
  return {
    server,
    caPem: authority.certificatePem,
    adminKubeconfig: await kubeconfig("admin", ["system:masters"]),
    kubeconfig,
    requests: () => readAuditLog(auditLog),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  };
}
