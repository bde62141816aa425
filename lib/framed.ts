import { Deserializer, Serializer } from "node:v8";

/** Two lengths of four bytes each: of the value, and of the bytes that lie behind it. */
const headBytes = 8;

/**
 * A value as one message of a stream. Byte arrays in it lie behind the rest as they are, so that nobody copies them: Node's
 * own channel between processes joins a message anew with each 64 KiB of it that comes, which of megabytes takes longer
 * than to use them. Gives pieces to write one after the other.
 */
export function framed(value: unknown): Uint8Array[] {
  const writer = new Writer();
  writer.writeValue(value);
  const text = writer.releaseBuffer();
  const head = Buffer.alloc(headBytes);
  head.writeUInt32BE(text.length, 0);
  head.writeUInt32BE(
    writer.views.reduce((sum, { length }) => sum + length, 0),
    4,
  );
  return [head, text, ...writer.views];
}

/**
 * Hears the messages of a stream, however it is cut. Each is a piece of memory of its own, of which the byte arrays in it
 * are parts. For messages of those we trust: the sender says how large they are.
 */
export function frameReader(hear: (value: unknown) => void): (chunk: Buffer) => void {
  const head = Buffer.alloc(headBytes);
  let headAt = 0;
  let body: Buffer | undefined;
  let bodyAt = 0;
  return (chunk) => {
    for (let at = 0; at < chunk.length;) {
      if (body === undefined) {
        const taken = chunk.copy(head, headAt, at);
        at += taken;
        headAt += taken;
        if (headAt < headBytes) return;
        body = Buffer.allocUnsafeSlow(head.readUInt32BE(0) + head.readUInt32BE(4));
        bodyAt = 0;
      }
      const taken = chunk.copy(body, bodyAt, at);
      at += taken;
      bodyAt += taken;
      if (bodyAt < body.length) return;
      const whole = body;
      body = undefined;
      headAt = 0;
      hear(new Reader(whole, head.readUInt32BE(0)).value());
    }
  };
}

class Writer extends Serializer {
  readonly views: Uint8Array[] = [];
  constructor() {
    super();
    // In Node's documentation, and not in its types.
    (this as unknown as { _setTreatArrayBufferViewsAsHostObjects(isSo: boolean): void })[
      "_setTreatArrayBufferViewsAsHostObjects"
    ](true);
    this.writeHeader();
  }
  /** Called by V8 for each byte array. */
  _writeHostObject(view: object): void {
    if (!(view instanceof Uint8Array)) throw new TypeError("only arrays of bytes are sent");
    this.writeUint32(view.length);
    this.views.push(view);
  }
}

class Reader extends Deserializer {
  readonly #views: Buffer;
  #at = 0;
  constructor(whole: Buffer, textBytes: number) {
    super(whole.subarray(0, textBytes));
    this.#views = whole.subarray(textBytes);
    this.readHeader();
  }
  value(): unknown {
    return this.readValue();
  }
  /** Called by V8 where an array of bytes was. */
  _readHostObject(): Buffer {
    const from = this.#at;
    this.#at += this.readUint32();
    return this.#views.subarray(from, this.#at);
  }
}
