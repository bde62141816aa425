import type { TestProject } from "vitest/node";
import { startControlPlane } from "#test/harness/control-plane.ts";
import type { KeyAndCertificate } from "#test/harness/authority.ts";

/** What a test process needs to be a client of the run's own control plane. */
export type Shared = {
  readonly server: string;
  readonly auditLog: string;
  readonly authority: KeyAndCertificate;
};

declare module "vitest" {
  interface ProvidedContext {
    controlPlane: Shared;
  }
}

/** One control plane for the whole run, before the first journey and until after the last. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const plane = await startControlPlane();
  const { keyPem, certificatePem } = plane.authority;
  project.provide("controlPlane", {
    server: plane.server,
    auditLog: plane.auditLog,
    authority: { keyPem, certificatePem },
  });
  return async () => plane[Symbol.asyncDispose]();
}
