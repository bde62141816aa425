import type { OutgoingHttpHeaders, ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

/** Answers with each byte in a chunk of its own, a millisecond after the one before it; stops when the client is gone. */
export function byteByByte(response: ServerResponse): Pick<ServerResponse, "writeHead" | "write" | "end"> {
  let sent = Promise.resolve();
  const send = async (bytes: Buffer): Promise<void> => {
    for (const byte of bytes) {
      if (response.destroyed) return;
      response.write(Buffer.of(byte));
      await sleep(1);
    }
  };
  return {
    writeHead: (status: number, headers?: unknown) => response.writeHead(status, headers as OutgoingHttpHeaders),
    write: (bytes: Buffer) => {
      sent = sent.then(() => send(bytes));
      return true;
    },
    end: () => {
      void sent.then(() => response.end());
      return response;
    },
  };
}
