import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { stringify } from "yaml";
import { createIdentity, loadIdentity, saveIdentity } from "#hub/identity/identity.ts";
import { CliError, exitCode } from "#cli/errors.ts";
import { print, type Format } from "#cli/output.ts";
import { sha256Hex } from "#proto/json.ts";

/** `plumb init`: makes the hub's keys, once, and a first administrator's token. */
export async function init(options: { identity: string; output: Format }): Promise<void> {
  const path = resolve(options.identity);
  const tokenFile = join(dirname(path), "plumbline-admin-token");
  // Found afterwards, it would leave keys that nobody has a token for.
  if (existsSync(tokenFile) && !existsSync(path))
    throw new CliError(exitCode.failed, `${tokenFile} exists`, "it may be somebody's token: move it away first");
  await saveIdentity(path, await createIdentity(Date.now()));
  const { fingerprint } = await loadIdentity(path);
  const { token, access } = createAdminToken();
  await writeFile(tokenFile, `${token}\n`, { mode: 0o600, flag: "wx" });
  const answer = { identity: path, root: fingerprint, tokenFile, access };
  print(
    options.output,
    answer,
    () => `wrote ${path}: the hub's keys. Back it up: to lose it means to enrol the whole fleet again.
       The root key lies in it, too; whoever reads this file can command the fleet.
root   ${fingerprint}
wrote ${tokenFile}: a token for yourself. Commit this into the fleet repository as fleet/access.yaml:

${access}
next:  plumb hub --fleet https://host/fleet.git
       export PLUMBLINE_TOKEN_FILE=${tokenFile}; plumb status
`,
    () => [path, tokenFile],
  );
}

/** A token, and the Access document that gives it the role admin. Only its hash goes into Git. */
export function createAdminToken(name = "admin"): { token: string; access: string } {
  const token = `plt_${randomBytes(24).toString("base64url")}`;
  const sha256 = sha256Hex(token);
  const access = stringify({
    apiVersion: "plumbline.dev/v1",
    kind: "Access",
    metadata: { name: "people" },
    spec: { tokens: [{ name, sha256, roles: ["admin"] }] },
  });
  return { token, access };
}
