import { startEngine, type Engine, type EngineOptions } from "#agent/engine/engine.ts";
import { systemClock } from "#lib/clock.ts";
import { silentLog } from "#lib/log.ts";
import { openTelemetry } from "#lib/telemetry.ts";
import type { Documents } from "#test/harness/documents.ts";

type Parts = Pick<EngineOptions, "cluster" | "namespace" | "journal"> & Partial<EngineOptions>;

/** The agent's engine for the cluster of these documents, quiet and in this process. */
export const startEngineFor = async (documents: Documents, parts: Parts): Promise<Engine> =>
  startEngine({
    clusterId: documents.cluster,
    trust: { rootKey: documents.rootKey, sealingKey: documents.sealingKey },
    fetch: documents.fetch,
    clock: systemClock,
    log: silentLog,
    telemetry: await openTelemetry("test", undefined),
    onStatus: () => undefined,
    ...parts,
  });
