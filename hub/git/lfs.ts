/** Git LFS's own limit for a pointer. */
const longestPointer = 1024;
const begin = "version https://git-lfs.github.com/spec/";

/** Whether these bytes only say where LFS keeps a file. */
export const isLfsPointer = (bytes: Uint8Array): boolean =>
  bytes.length < longestPointer && Buffer.from(bytes.subarray(0, begin.length)).toString("latin1") === begin;
