import { GitFailed } from "#hub/git/command.ts";

/** An object as `git cat-file` tells of it. */
export type GitObject = {
  readonly id: string;
  readonly type: "blob" | "tree" | "commit" | "tag";
  readonly bytes: Buffer;
};

/** Of a name that is not there git repeats the name, which may be a long path. */
const longestLine = 16_384;
const lineFeed = 10;

/**
 * Reads the answers of `git cat-file --batch` (with bytes), or `--batch-check`, to `names`, however they are cut. Gives them,
 * in order, once the last one is whole; undefined where there is nothing of a name. Throws GitFailed for an answer of another
 * form, and for an object larger than `maxBytes`.
 */
export function objectParser(
  names: readonly string[],
  withBytes: boolean,
  maxBytes: number,
): (chunk: Buffer) => (GitObject | undefined)[] | undefined {
  const found: (GitObject | undefined)[] = [];
  let line = Buffer.alloc(0);
  /** The object whose bytes are coming, and how many of them are here; the line feed behind them counts. */
  let filling: { readonly object: GitObject; at: number } | undefined;

  /** Takes the answer's first line out of the chunk; gives the rest. */
  const readLine = (chunk: Buffer): Buffer => {
    const end = chunk.indexOf(lineFeed);
    const part = end < 0 ? chunk : chunk.subarray(0, end);
    line = Buffer.concat([line, part]);
    if (line.length > longestLine) throw new GitFailed("git cat-file: answers with a line that does not end");
    if (end < 0) return chunk.subarray(chunk.length);
    const head = line.toString("utf8");
    line = Buffer.alloc(0);
    const name = names[found.length]!;
    const parts = /^([0-9a-f]{40,64}) (blob|tree|commit|tag) (\d+)$/.exec(head);
    if (parts === null && !head.endsWith(" missing"))
      throw new GitFailed(`git cat-file: cannot read ${JSON.stringify(name.slice(0, 200))}`);
    const [, id, type, size] = parts ?? [];
    if (Number(size) > maxBytes)
      throw new GitFailed(`git cat-file: ${name.slice(0, 200)} has ${size} bytes, at most ${maxBytes} are read`);
    if (parts === null) found.push(undefined);
    else {
      const bytes = Buffer.allocUnsafe(withBytes ? Number(size) : 0);
      const object = { id: id!, type: type as GitObject["type"], bytes };
      if (withBytes) filling = { object, at: 0 };
      else found.push(object);
    }
    return chunk.subarray(end + 1);
  };
  const fill = (chunk: Buffer, into: NonNullable<typeof filling>): Buffer => {
    const { object, at } = into;
    const taken = Math.min(chunk.length, object.bytes.length + 1 - at);
    chunk.copy(object.bytes, at, 0, Math.min(taken, object.bytes.length - at));
    into.at += taken;
    if (into.at > object.bytes.length) {
      found.push(object);
      filling = undefined;
    }
    return chunk.subarray(taken);
  };

  return (chunk) => {
    let rest = chunk;
    while (rest.length > 0 && found.length < names.length)
      rest = filling === undefined ? readLine(rest) : fill(rest, filling);
    if (found.length < names.length) return undefined;
    if (rest.length > 0) throw new GitFailed("git cat-file: says more than it was asked");
    return found;
  };
}
