import { fork } from "node:child_process";
import { once } from "node:events";
import type { Socket } from "node:net";
import { framed } from "#lib/framed.ts";

/** What a child may keep of its heap: the largest index of charts, 32 MiB, takes most of it; a bundle of 10 MiB some 120 MB. */
const childMegabytes = 512;

/** How a child ended while it had something to do. */
export type ChildEnd = "outgrown" | "ended";

/**
 * A process that reads what strangers wrote: one that outgrows its memory takes nothing with it, and what it used is the
 * system's again when it ends. It ends with us, and keeps nobody alive.
 */
export type RenderChild = {
  readonly megabytes: number;
  send(message: object): void;
  onMessage(hear: (message: unknown) => void): () => void;
  onEnd(hear: (how: ChildEnd) => void): () => void;
  end(): Promise<void>;
};

export function startRenderChild(contentSecret: Uint8Array): RenderChild {
  // The bundled hub has its worker beside it under the same name, with the other extension.
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  const child = fork(new URL(`./render-worker.${extension}`, import.meta.url), {
    execArgv: [`--max-old-space-size=${childMegabytes}`, "--max-semi-space-size=8"],
    env: {},
    serialization: "advanced",
    // Tasks come on its stdin, and answers go the other way. What it would say of its own end holds nothing for people.
    stdio: ["pipe", "ignore", "ignore", "ipc"],
  });
  const tasks = child.stdin as Socket;
  child.unref();
  child.channel?.unref();
  tasks.unref();
  // A message to one that is just ending is lost, and its end is told.
  child.on("error", () => undefined);
  tasks.on("error", () => undefined);
  const send = (message: object): void => {
    tasks.cork();
    for (const piece of framed(message)) tasks.write(piece);
    tasks.uncork();
  };
  send({ contentSecret });
  return {
    megabytes: childMegabytes,
    send,
    onMessage(hear) {
      child.on("message", hear);
      return () => void child.off("message", hear);
    },
    onEnd(hear) {
      // V8 aborts the process whose heap is full.
      const ended = (_code: number | null, signal: NodeJS.Signals | null): void =>
        hear(signal === "SIGABRT" || signal === "SIGTRAP" ? "outgrown" : "ended");
      child.on("exit", ended);
      return () => void child.off("exit", ended);
    },
    async end() {
      if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
      child.ref();
      const gone = once(child, "exit");
      child.kill("SIGKILL");
      await gone;
    },
  };
}
