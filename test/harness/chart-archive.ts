import { gzipSync } from "node:zlib";

/** Something else than a file of text below the chart's folder: what only somebody who means harm packs. */
export type StrangeEntry = { readonly path: string; readonly content?: Buffer; readonly linkTo?: string };

/** A chart as `helm package` would pack it: a ustar archive whose files lie under the chart's name. */
export function packChart(
  name: string,
  version: string,
  files: Readonly<Record<string, string>>,
  strange: readonly StrangeEntry[] = [],
): Buffer {
  const all = { "Chart.yaml": `apiVersion: v2\nname: ${name}\nversion: ${version}\n`, ...files };
  const entries = Object.entries(all).map(([path, text]) => entry(`${name}/${path}`, Buffer.from(text)));
  const others = strange.map(({ path, content = Buffer.alloc(0), linkTo }) => entry(path, content, linkTo));
  return gzipSync(Buffer.concat([...entries, ...others, Buffer.alloc(1024)]));
}

function entry(path: string, content: Buffer, linkTo?: string): Buffer {
  const header = Buffer.alloc(512);
  const octal = (value: number, digits: number): string => `${value.toString(8).padStart(digits - 1, "0")}\0`;
  header.write(path, 0);
  header.write(octal(0o644, 8), 100);
  header.write(octal(0, 8), 108);
  header.write(octal(0, 8), 116);
  header.write(octal(content.length, 12), 124);
  header.write(octal(0, 12), 136);
  header.write(" ".repeat(8), 148);
  header.write(linkTo === undefined ? "0" : "2", 156);
  header.write(linkTo ?? "", 157);
  header.write("ustar\0", 257);
  header.write("00", 263);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return Buffer.concat([header, content, Buffer.alloc((512 - (content.length % 512)) % 512)]);
}
