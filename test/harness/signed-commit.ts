import { writeTestCommit } from "#hub/trust/signing-fixture.ts";
import type { GitServer } from "#test/harness/git-server.ts";

export type SignedChange = {
  readonly files: Readonly<Record<string, string | null>>;
  readonly message: string;
  /** Makes the armoured signature; without it the commit is not signed. */
  readonly sign?: (payload: Buffer) => string;
  /** Milliseconds since 1970. */
  readonly atMs?: number;
};

/** Pushes a commit on top of `main`, signed as its author's git would sign it, and gives its id. */
export async function pushSigned(server: GitServer, name: string, change: SignedChange): Promise<string> {
  const { files, message, sign, atMs = Date.now() } = change;
  const scratch = "refs/scratch/signed";
  const parent = await server.git(name, ["rev-parse", "refs/heads/main"]);
  const lines = Object.entries(files).map(([path, text]) =>
    text === null ? `D ${path}\n` : `M 644 inline ${path}\ndata ${Buffer.byteLength(text)}\n${text}\n`,
  );
  const head = `commit ${scratch}\ncommitter dev1 <dev1@example.com> now\ndata 0\nfrom ${parent}\n`;
  await server.git(name, ["fast-import", "--quiet", "--force", "--date-format=now"], `${head}${lines.join("")}\n`);
  const tree = await server.git(name, ["rev-parse", `${scratch}^{tree}`]);
  const at = Math.floor(atMs / 1000);
  const raw = writeTestCommit({ at, tree, parents: [parent], message: `${message}\n` }, sign);
  const commit = await server.git(name, ["hash-object", "-t", "commit", "-w", "--stdin"], raw.toString());
  await server.git(name, ["update-ref", "refs/heads/main", commit, parent]);
  await server.onPush(name);
  return commit;
}
