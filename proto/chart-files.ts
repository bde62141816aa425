/** A chart as the hub hands it to people who render with it themselves: the archive that was published, or a folder of a commit. */
export type ChartFiles = {
  /** For people. */
  readonly from: string;
  /** One, of an archive; with paths below the chart's folder, of a folder. */
  readonly files: readonly { readonly path: string; readonly bytes: Uint8Array }[];
};

type Head = { readonly from: string; readonly files: readonly [string, number][] };

/** More names than any chart holds. */
const maxHeadBytes = 4 * 1024 * 1024;

/** A line of JSON that names the files, and then their bytes one after another: archives are too large to be told as text. */
export function packChartFiles({ from, files }: ChartFiles): Uint8Array {
  const head: Head = { from, files: files.map(({ path, bytes }) => [path, bytes.length]) };
  return Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), ...files.map(({ bytes }) => bytes)]);
}

/** Throws when it is not what `packChartFiles` gives. */
export function unpackChartFiles(packed: Uint8Array): ChartFiles {
  const end = packed.subarray(0, maxHeadBytes).indexOf(10);
  const { from, files } = JSON.parse(Buffer.from(packed.subarray(0, Math.max(0, end))).toString("utf8")) as Head;
  let at = end + 1;
  const read = files.map(([path, length]) => {
    const bytes = packed.subarray(at, at + length);
    at += length;
    return { path, bytes };
  });
  if (at !== packed.length) throw new Error("a chart was cut short");
  return { from, files: read };
}
