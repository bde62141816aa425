/** gitprotocol-common: four hex digits of length, themselves included, then the line; 0000 ends, 0001 parts. */
export const pktLine = (text: string): string =>
  `${(Buffer.byteLength(text) + 5).toString(16).padStart(4, "0")}${text}\n`;
export const flush = "0000";
export const delimiter = "0001";

/** A text that is not made of pkt-lines. */
export class NotPktLines extends Error {
  override readonly name = "NotPktLines";
}

/** The lines of an answer, without their last newline; null for each flush. Throws NotPktLines. */
export function readPktLines(answer: Buffer): (string | null)[] {
  const lines: (string | null)[] = [];
  for (let at = 0; at < answer.length;) {
    const digits = answer.toString("latin1", at, at + 4);
    if (!/^[0-9a-f]{4}$/i.test(digits)) throw new NotPktLines(`no length at byte ${at}`);
    const length = Number.parseInt(digits, 16);
    if (length < 4) {
      if (length === 0) lines.push(null);
      at += 4;
      continue;
    }
    if (at + length > answer.length) throw new NotPktLines("ends in the middle of a line");
    lines.push(answer.toString("utf8", at + 4, at + length).replace(/\n$/, ""));
    at += length;
  }
  return lines;
}
