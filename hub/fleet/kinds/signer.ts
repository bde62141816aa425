import { z } from "zod";
import { parseAllowedSigner } from "#hub/trust/allowed-signers.ts";
import { pgpKeyProblem } from "#hub/trust/pgp-armour.ts";
import { unique } from "../fields.ts";

/** A line of a file as git's `gpg.ssh.allowedSignersFile`. */
const sshLine = z
  .string()
  .max(10_000)
  .superRefine((line, context) => {
    const parsed = parseAllowedSigner(line);
    if (typeof parsed === "string") context.addIssue({ code: "custom", message: parsed });
  });

/** What `gpg --armor --export` prints. */
const pgpBlock = z
  .string()
  .max(200_000)
  .superRefine((block, context) => {
    const problem = pgpKeyProblem(block);
    if (problem !== undefined) context.addIssue({ code: "custom", message: problem });
  });

/** Somebody, or a forge, whose signature under commits counts where an Environment names them. */
export const signerSpec = z
  .strictObject({ ssh: unique(sshLine).max(50).default([]), pgp: unique(pgpBlock).max(20).default([]) })
  .refine(({ ssh, pgp }) => ssh.length + pgp.length > 0, { error: "must hold a key: ssh, pgp or both" });
