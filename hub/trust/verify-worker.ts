import { parentPort, workerData } from "node:worker_threads";
import { checkPgp, pgpSignersOf } from "./openpgp.ts";
import type { SignerKeys } from "./signer-keys.ts";
import { verifyAll, type ToVerify } from "./verify.ts";

// One batch a thread: it is started when many signatures wait, and ends with them.
const { objects, signers } = workerData as { objects: ToVerify[]; signers: SignerKeys[] };
const verdicts = await verifyAll(objects, signers, async (all) => {
  const keys = await pgpSignersOf(all);
  return (signature, payload) => checkPgp(keys, signature, payload);
});
parentPort!.postMessage(verdicts);
