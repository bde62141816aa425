import { mkdtempDisposable, readdir, rm, writeFile, type DisposableTempDir } from "node:fs/promises";
import { join } from "node:path";
import { AddressRefused, redact } from "#hub/git/address.ts";

/** What speaking to one repository over SSH takes. Both are asked at each connection: a rotated key needs no restart. */
export type SshAccess = {
  /** As OpenSSH writes it, without a passphrase. */
  readonly privateKey: () => Promise<string>;
  /** Lines as in known_hosts: no other server is spoken to. */
  readonly hostKeys: () => Promise<readonly string[]>;
};

const files = { key: "key", knownHosts: "known_hosts" };
const prefix = "plumbline-ssh-";
/** Of this process alone: in a container every run has the same process id. */
const ownPrefix = (): string => `${prefix}${process.pid}-${Math.floor(performance.timeOrigin)}-`;

/**
 * The same for every repository: the two files are named relative to the folder that git runs in, so that no path has to
 * survive a shell, ssh's own quoting and its percent tokens. Neither the user's nor the machine's ssh has a say: no
 * settings, no agent, no other known host.
 */
export const sshCommand = [
  "ssh -F /dev/null",
  `-i ${files.key}`,
  ...[
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    `UserKnownHostsFile=${files.knownHosts}`,
    "GlobalKnownHostsFile=/dev/null",
    "UpdateHostKeys=no",
    "IdentitiesOnly=yes",
    "IdentityAgent=none",
    "PreferredAuthentications=publickey",
    // A server that does not speak is not waited for.
    "ConnectTimeout=20",
    "ServerAliveInterval=10",
    "ServerAliveCountMax=2",
  ].map((option) => `-o ${option}`),
].join(" ");

/** Puts key and host keys where only this process's user reads them, until it is disposed. */
export async function writeSshFiles(
  directory: string,
  address: string,
  access: SshAccess,
): Promise<DisposableTempDir & AsyncDisposable> {
  const lines = (await access.hostKeys()).map((line) => line.trim()).filter((line) => line !== "");
  if (lines.length === 0)
    throw new AddressRefused(
      `${redact(address)}: no host key is pinned: name its lines under hostKeys of the Repository, or --fleet-host-keys for the fleet repository`,
    );
  // Without its last newline, or with those of another system, ssh calls a key invalid.
  const key = `${(await access.privateKey()).replaceAll("\r\n", "\n").trimEnd()}\n`;
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await mkdtempDisposable(join(directory, ownPrefix())));
  await writeFile(join(folder.path, files.knownHosts), `${lines.join("\n")}\n`, { mode: 0o600 });
  await writeFile(join(folder.path, files.key), key, { mode: 0o600 });
  stack.move();
  return folder;
}

/** Removes what a killed process left: a private key must not outlive its use. What this process uses now stays. */
export async function removeSshFiles(directory: string): Promise<void> {
  const left = (await readdir(directory)).filter((name) => name.startsWith(prefix) && !name.startsWith(ownPrefix()));
  await Promise.all(left.map((name) => rm(join(directory, name), { recursive: true, force: true })));
}

/** Why ssh did not come through, and what to do. ssh ends with 255 for everything: its words are all there is to tell by. */
export function sshRefusal(address: string, complaint: string): string | undefined {
  const shown = redact(address);
  const fingerprint = /\bSHA256:[A-Za-z0-9+/]+/.exec(complaint)?.[0];
  if (/Host key verification failed/.test(complaint))
    return (
      `${shown}: the server shows a host key that is not pinned${fingerprint === undefined ? "" : ` (${fingerprint})`}, and was told nothing: ` +
      "compare ssh-keyscan with what the forge publishes; if they agree, add the line to hostKeys of the Repository " +
      "(--fleet-host-keys for the fleet repository), otherwise somebody stands in between"
    );
  if (/^Load key .*$/m.test(complaint))
    return `${shown}: the file that credentials name is no private key that ssh reads: it must be one without a passphrase`;
  if (/Permission denied \(/.test(complaint))
    return `${shown}: the server does not accept the private key that credentials name: add its public key there, as a deploy key that may write if this repository is pushed to`;
  return undefined;
}
