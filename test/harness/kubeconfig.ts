import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Authority } from "#test/harness/authority.ts";

/** Writes the kubeconfig of a user whose certificate says so, and gives its path. */
export async function writeKubeconfig(
  folder: string,
  authority: Authority,
  server: string,
  user: string,
  groups: readonly string[],
): Promise<string> {
  const own = await authority.issue([...groups.map((group) => `O=${group}`), `CN=${user}`].join(","));
  const base64 = (text: string): string => Buffer.from(text).toString("base64");
  const path = join(folder, `${user.replaceAll(/[^a-z0-9-]/g, "-")}.kubeconfig`);
  await writeFile(
    path,
    JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      clusters: [{ name: "c", cluster: { server, "certificate-authority-data": base64(authority.certificatePem) } }],
      users: [
        {
          name: "u",
          user: {
            "client-certificate-data": base64(own.certificatePem),
            "client-key-data": base64(own.keyPem),
          },
        },
      ],
      contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
      "current-context": "x",
    }),
  );
  return path;
}
