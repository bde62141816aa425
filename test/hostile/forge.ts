import { createHash, randomFillSync } from "node:crypto";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { createDeflate, deflateSync } from "node:zlib";
import type { GitServer } from "#test/harness/git-server.ts";

/** One entry of a commit, as only somebody who means harm, or knows no better, would write it. */
export type Entry = { readonly path: string; readonly mode?: string; readonly content?: string | Uint8Array };

/** Adds a commit with these entries on top of a branch; paths may hold any byte, written as `\377`. */
export async function forge(server: GitServer, repository: string, entries: readonly Entry[]): Promise<string> {
  const ref = "refs/heads/main";
  const from = await server.git(repository, ["rev-parse", "--verify", "--quiet", ref]).catch(() => "");
  const head = `commit ${ref}\ncommitter dev1 <dev1@example.com> now\ndata 6\nforged\n${from === "" ? "" : `from ${from}\n`}`;
  const changes = entries.map(({ path, mode = "100644", content = "" }) => {
    // A submodule is a commit's id, which no repository need hold.
    if (mode === "160000") return Buffer.from(`M 160000 ${"a".repeat(40)} "${path}"\n`);
    const bytes = Buffer.from(content);
    return Buffer.concat([Buffer.from(`M ${mode} inline "${path}"\ndata ${bytes.length}\n`), bytes, Buffer.from("\n")]);
  });
  const stream = Buffer.concat([Buffer.from(head), ...changes, Buffer.from("\n")]);
  await server.git(repository, ["fast-import", "--quiet", "--force", "--date-format=now"], stream);
  return server.git(repository, ["rev-parse", ref]);
}

/** A commit whose tree git itself refuses to write: one file under this name, which may be `..` or hold a slash. */
export async function forgeTree(server: GitServer, repository: string, name: string): Promise<void> {
  const blob = await server.git(repository, ["hash-object", "-w", "--stdin"], "kind: ConfigMap\n");
  const raw = Buffer.concat([Buffer.from(`100644 ${name}\0`), Buffer.from(blob, "hex")]);
  const tree = await server.git(repository, ["hash-object", "-t", "tree", "--literally", "-w", "--stdin"], raw);
  const commit = await server.git(repository, ["commit-tree", "-m", "forged", tree]);
  await server.git(repository, ["update-ref", "refs/heads/main", commit]);
}

/**
 * A commit with a file of `bytes` zeros that is kept as a delta of some hundred bytes: whoever unpacks it needs the
 * memory of the whole.
 */
export async function forgeDeltaBomb(server: GitServer, repository: string, bytes: number): Promise<void> {
  const base = Buffer.alloc(0xff_ff_ff);
  const copies = Math.ceil(bytes / base.length);
  // Copies sixteen megabytes from the base's beginning, again and again.
  const copy = Buffer.from([0b1111_0000, 0xff, 0xff, 0xff]);
  const delta = Buffer.concat([
    varint(base.length),
    varint(copies * base.length),
    ...Array.from({ length: copies }, () => copy),
  ]);
  const id = createHash("sha1").update(`blob ${base.length}\0`).update(base).digest();
  const body = Buffer.concat([
    Buffer.from("PACK"),
    uint32(2),
    uint32(2),
    header(3, base.length),
    deflateSync(base, { level: 9 }),
    header(7, delta.length),
    id,
    deflateSync(delta),
  ]);
  const pack = Buffer.concat([body, createHash("sha1").update(body).digest()]);
  await server.git(repository, ["config", "core.bigFileThreshold", "8g"]);
  await server.git(repository, ["config", "pack.window", "0"]);
  await server.git(repository, ["index-pack", "--stdin"], pack);
  const hash = createHash("sha1").update(`blob ${copies * base.length}\0`);
  for (let n = 0; n < copies; n += 1) hash.update(base);
  const tree = await server.git(
    repository,
    ["mktree"],
    `100644 blob ${hash.digest("hex")}\ta.yaml\n100644 blob ${id.toString("hex")}\tb.yaml\n`,
  );
  const commit = await server.git(repository, ["commit-tree", "-m", "forged", tree]);
  await server.git(repository, ["update-ref", "refs/heads/main", commit]);
}

/** A commit with a file of `bytes` zeros, which packs to a thousandth of it. */
export async function forgeZeros(server: GitServer, repository: string, bytes: number): Promise<void> {
  const block = Buffer.alloc(2 ** 24);
  const blocks = Math.ceil(bytes / block.length);
  const size = blocks * block.length;
  const zeros = Readable.from(
    (function* () {
      for (let n = 0; n < blocks; n += 1) yield block;
    })(),
  );
  const packed = await buffer(zeros.pipe(createDeflate({ level: 9 })));
  const body = Buffer.concat([Buffer.from("PACK"), uint32(2), uint32(1), header(3, size), packed]);
  const pack = Buffer.concat([body, createHash("sha1").update(body).digest()]);
  await server.git(repository, ["index-pack", "--stdin"], pack);
  const hash = createHash("sha1").update(`blob ${size}\0`);
  for (let n = 0; n < blocks; n += 1) hash.update(block);
  await commitUnderApps(server, repository, `100644 blob ${hash.digest("hex")}\tzeros.yaml\n`);
}

/** A commit of files of this many bytes of noise each: nothing packs them smaller. */
export async function forgeNoise(server: GitServer, repository: string, files: number, bytes: number): Promise<void> {
  // For the server's own git: to try it all the same takes minutes.
  for (const setting of ["core.compression", "pack.compression", "pack.window"])
    await server.git(repository, ["config", setting, "0"]);
  const entries: string[] = [];
  for (let n = 0; n < files; n += 1) {
    const blob = await server.git(repository, ["hash-object", "-w", "--stdin"], noiseOf(bytes));
    entries.push(`100644 blob ${blob}\t${n}.bin\n`);
  }
  await commitUnderApps(server, repository, entries.join(""));
}

/** A commit of apps/REPOSITORY with these entries, as `mktree` reads them. */
async function commitUnderApps(server: GitServer, repository: string, entries: string): Promise<void> {
  const folder = await server.git(repository, ["mktree"], entries);
  const apps = await server.git(repository, ["mktree"], `040000 tree ${folder}\t${repository}\n`);
  const root = await server.git(repository, ["mktree"], `040000 tree ${apps}\tapps\n`);
  const commit = await server.git(repository, ["commit-tree", "-m", "forged", root]);
  await server.git(repository, ["update-ref", "refs/heads/main", commit]);
}

const noiseOf = (bytes: number): Buffer => randomFillSync(Buffer.allocUnsafe(bytes));

/** An object's type and size before its data. */
function header(type: number, size: number): Buffer {
  const bytes: number[] = [(type << 4) | (size & 15)];
  for (let rest = Math.floor(size / 16); rest > 0; rest = Math.floor(rest / 128)) {
    bytes[bytes.length - 1]! |= 128;
    bytes.push(rest & 127);
  }
  return Buffer.from(bytes);
}

function varint(value: number): Buffer {
  const bytes: number[] = [value & 127];
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) {
    bytes[bytes.length - 1]! |= 128;
    bytes.push(rest & 127);
  }
  return Buffer.from(bytes);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
