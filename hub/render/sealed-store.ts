import { createCipheriv, createDecipheriv, hkdfSync, randomBytes, randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";

/**
 * A bounded folder of things that can be made again. What is read was written here under this secret and this name, or it
 * is not there: a file that somebody changed, moved or cut is dropped.
 */
export type SealedStore = {
  get(name: string): Promise<Buffer | undefined>;
  /** Never throws for a full or missing disk: what is not kept is made again. */
  put(name: string, content: Uint8Array): Promise<void>;
  drop(name: string): Promise<void>;
};

export type StoreLimits = { readonly bytes: number; readonly files: number };

const nonceBytes = 12;
const tagBytes = 16;
const isName = (name: string): boolean => /^[0-9a-f]{64}$/.test(name);

/** Names are 64 hex digits. Over a limit, what was not used for longest goes. */
export async function openSealedStore(
  folder: string,
  secret: Uint8Array,
  purpose: string,
  limits: StoreLimits,
  onProblem: (error: unknown) => void = () => undefined,
): Promise<SealedStore> {
  const key = Buffer.from(hkdfSync("sha256", secret, "", purpose, 32));
  // In the order of use: the first goes first.
  const files = new Map<string, number>();
  let bytes = 0;
  const pathOf = (name: string): string => join(folder, name);
  const forget = (name: string): void => {
    bytes -= files.get(name) ?? 0;
    files.delete(name);
  };
  const drop = async (name: string): Promise<void> => {
    forget(name);
    await rm(pathOf(name), { force: true });
  };
  const note = async (name: string, size: number): Promise<void> => {
    forget(name);
    files.set(name, size);
    bytes += size;
    while (bytes > limits.bytes || files.size > limits.files) await drop(files.keys().next().value!);
  };

  await mkdir(folder, { recursive: true, mode: 0o700 });
  const found = await Promise.all((await readdir(folder)).map((name) => known(folder, name)));
  for (const { name, size } of found.filter((file) => file !== undefined).sort((a, b) => a.usedAtMs - b.usedAtMs))
    await note(name, size);

  return {
    drop,
    async get(name) {
      if (!files.has(name)) return undefined;
      try {
        const content = open(key, name, await readFile(pathOf(name)));
        await note(name, files.get(name) ?? content.length);
        const now = new Date();
        await utimes(pathOf(name), now, now);
        return content;
      } catch (error) {
        onProblem(error);
        await drop(name);
        return undefined;
      }
    },
    async put(name, content) {
      if (!isName(name)) throw new Error(`${name} is no name of a kept file`);
      const sealed = seal(key, name, content);
      if (sealed.length > limits.bytes) return;
      const beside = join(folder, `new-${randomUUID()}`);
      try {
        await writeFile(beside, sealed, { mode: 0o600 });
        await rename(beside, pathOf(name));
        await note(name, sealed.length);
      } catch (error) {
        onProblem(error);
        await rm(beside, { force: true });
      }
    },
  };
}

/** Anything else in the folder was left by a write that did not end. */
async function known(folder: string, name: string) {
  const path = join(folder, name);
  if (!isName(name)) {
    await rm(path, { recursive: true, force: true });
    return undefined;
  }
  const { size, mtimeMs } = await stat(path);
  return { name, size, usedAtMs: mtimeMs };
}

function seal(key: Buffer, name: string, content: Uint8Array): Buffer {
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(Buffer.from(name));
  return Buffer.concat([nonce, cipher.update(content), cipher.final(), cipher.getAuthTag()]);
}

function open(key: Buffer, name: string, sealed: Buffer): Buffer {
  if (sealed.length < nonceBytes + tagBytes) throw new Error(`${name} is cut`);
  const decipher = createDecipheriv("aes-256-gcm", key, sealed.subarray(0, nonceBytes)).setAAD(Buffer.from(name));
  decipher.setAuthTag(sealed.subarray(-tagBytes));
  return Buffer.concat([decipher.update(sealed.subarray(nonceBytes, -tagBytes)), decipher.final()]);
}
