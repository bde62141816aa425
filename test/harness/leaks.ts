import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** What is still closing when a file's last test ends gets this long: only a file that leaks waits for it. */
const limitMs = 5_000;

/** What keeps a process from ending, in words. Unknown kinds are named as Node names them. */
const words: Readonly<Record<string, string>> = {
  TCPSocketWrap: "a connection",
  TCPServerWrap: "a listening server",
  TLSWrap: "a TLS connection",
  UDPWrap: "a UDP socket",
  PipeWrap: "a pipe to a process",
  ProcessWrap: "a running process",
  Timeout: "a timer",
  MessagePort: "a message port",
  FSEventWrap: "a watch on a file",
};

/** Sees what the code that runs from now on leaves behind in this process. */
export type LeakWatch = {
  /** What is still there once it had time to go: empty when nothing leaked, a line for each kind otherwise. */
  left(withinMs?: number): Promise<string[]>;
  /** Ends the watch, and removes the temporary folders that were left. */
  end(): void;
};

/**
 * Watches what keeps this process alive (connections, servers, timers, children; not what was unref'd, nor workers, which
 * Node does not list), and what is made in the temporary folder: until the end of the watch that is one of its own.
 */
export function watchLeaks(): LeakWatch {
  const outside = process.env["TMPDIR"];
  const folder = mkdtempSync(join(tmpdir(), "plumbline-test-"));
  process.env["TMPDIR"] = folder;
  // Opened when somebody first asks for them, and of this process for as long as it lives.
  for (const stream of [process.stdin, process.stdout, process.stderr]) void stream.destroyed;
  // The test runner has pipes of its own. Its timers come and go: those of a moment must not excuse one that stays.
  const baseline = { ...countResources(), Timeout: 0 };
  const leftNow = (): string[] => [
    ...Object.entries(countResources())
      .map(([kind, count]) => [kind, count - (baseline[kind as keyof typeof baseline] ?? 0)] as const)
      .filter(([, extra]) => extra > 0)
      .map(([kind, extra]) => `${words[kind] ?? kind}${extra === 1 ? "" : `, ${extra} times`}`),
    ...readdirSync(folder).map((name) => `the temporary folder ${name}`),
  ];
  return {
    async left(withinMs = limitMs) {
      const deadline = performance.now() + withinMs;
      for (;;) {
        const left = leftNow();
        if (left.length === 0 || performance.now() > deadline) return left.sort();
        await sleep(10);
      }
    },
    end() {
      if (outside === undefined) delete process.env["TMPDIR"];
      else process.env["TMPDIR"] = outside;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function countResources(): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}
