/** The strings of an SSH blob (RFC 4251 §5), and whatever is left after `count` of them. Undefined when it is cut short. */
export function readStrings(bytes: Buffer, count: number): { fields: Buffer[]; rest: Buffer } | undefined {
  const fields: Buffer[] = [];
  let at = 0;
  while (fields.length < count) {
    if (at + 4 > bytes.length) return undefined;
    const end = at + 4 + bytes.readUInt32BE(at);
    if (end > bytes.length) return undefined;
    fields.push(bytes.subarray(at + 4, end));
    at = end;
  }
  return { fields, rest: bytes.subarray(at) };
}

/** Exactly these strings and nothing after them. */
export function readWhole(bytes: Buffer, count: number): Buffer[] | undefined {
  const read = readStrings(bytes, count);
  return read?.rest.length === 0 ? read.fields : undefined;
}

export function sshString(value: string | Uint8Array): Buffer {
  const bytes = Buffer.from(value as string);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** An mpint as a whole number of `size` bytes; undefined when it is negative or larger. */
export function unsignedOf(mpint: Buffer, size?: number): Buffer | undefined {
  if (mpint.length > 0 && mpint[0]! >= 0x80) return undefined;
  const bytes = mpint[0] === 0 ? mpint.subarray(1) : mpint;
  if (size === undefined) return bytes;
  return bytes.length > size ? undefined : Buffer.concat([Buffer.alloc(size - bytes.length), bytes]);
}
