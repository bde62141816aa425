import { sha256Hex } from "./json.ts";

/** What an agent signs with its recorded key to renew its certificate; the same text as in agent.proto. */
export const renewalText = (cluster: string, atMs: bigint, csrPem: string): Buffer =>
  Buffer.from(`plumbline renew\n${cluster}\n${atMs}\n${sha256Hex(csrPem)}`);
