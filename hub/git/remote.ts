import { AddressRefused, redact } from "#hub/git/address.ts";
import type { GitOptions } from "#hub/git/command.ts";
import { writeSshFiles, type SshAccess } from "#hub/git/ssh.ts";

/** How a repository is spoken to. */
export type RemoteSettings = {
  readonly url: string;
  /** Value of an Authorization header; asked at each fetch, so a rotated credential needs no restart. */
  readonly authorization?: () => Promise<string | undefined>;
  /** Needed by an ssh:// address, and used by no other. */
  readonly ssh?: SshAccess;
};

/** What a git command that speaks to the remote needs besides its arguments. */
export type RemoteAccess = Pick<GitOptions, "config" | "ssh">;

/** Runs `work` with the credentials as they are now; what they took on disk is gone afterwards. */
export async function withRemote<Result>(
  directory: string,
  { url, authorization, ssh }: RemoteSettings,
  work: (access: RemoteAccess) => Promise<Result>,
): Promise<Result> {
  if (!url.startsWith("ssh:")) {
    const header = await authorization?.();
    return work(header === undefined ? {} : { config: { "http.extraHeader": `Authorization: ${header}` } });
  }
  if (ssh === undefined) throw new AddressRefused(`${redact(url)}: ssh needs a private key and pinned host keys`);
  await using files = await writeSshFiles(directory, url, ssh);
  return await work({ ssh: { folder: files.path, address: url } });
}
