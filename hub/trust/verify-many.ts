import { Worker } from "node:worker_threads";
import type { SignerKeys } from "./signer-keys.ts";
import type { Verdict } from "./verdict.ts";
import { isSignedByPgp, verifyAll, type ToVerify } from "./verify.ts";

/** An SSH signature takes 0.1 to 0.3 ms: up to here the hub's own thread is held for less than 10 ms. */
const inlineObjects = 32;
/** 10,000 OpenPGP signatures by RSA keys take about 20 s. */
const batchLimitMs = 120_000;
const workerMegabytes = 256;

/**
 * Verdicts in order, made in a thread of their own when they are many, or by OpenPGP, whose library the hub's own thread
 * never loads. Throws when the thread cannot.
 */
export async function verifyMany(
  objects: readonly ToVerify[],
  signers: readonly SignerKeys[],
  signal?: AbortSignal,
): Promise<Verdict[]> {
  if (objects.length <= inlineObjects && !objects.some(isSignedByPgp)) return await verifyAll(objects, signers);
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  const worker = new Worker(new URL(`./verify-worker.${extension}`, import.meta.url), {
    workerData: { objects, signers },
    resourceLimits: { maxOldGenerationSizeMb: workerMegabytes },
    env: {},
  });
  const limit = AbortSignal.any([AbortSignal.timeout(batchLimitMs), ...(signal === undefined ? [] : [signal])]);
  try {
    return await new Promise<Verdict[]>((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", reject);
      worker.once("exit", () => reject(new Error("signatures were not checked: their thread ended")));
      limit.addEventListener("abort", () => reject(new Error("signatures were not checked in time")), { once: true });
    });
  } finally {
    await worker.terminate();
  }
}

/** An annotated tag, as it is stored: it must be the tag of that name, at that very commit. */
export async function verifyTag(
  raw: Uint8Array,
  expected: { readonly name: string; readonly commit: string },
  signers: readonly SignerKeys[],
  signal?: AbortSignal,
): Promise<Verdict> {
  const [verdict] = await verifyMany([{ tag: expected, raw }], signers, signal);
  return verdict!;
}
