import { failureOf, GitFailed, killGroup, startGit, type BareRepository } from "#hub/git/command.ts";
import { strangersLimits } from "#hub/git/limits.ts";
import { objectParser, type GitObject } from "#hub/git/object-parser.ts";
import { serial } from "#lib/serial.ts";

/** Without a question for so long git ends: those that a new commit raises come within a tenth of it. */
const usualIdleMs = 1_000;
/** Its limit of CPU is for a whole life: what strangers' objects wore out must not end a harmless question. */
const longestLifeMs = 60_000;

/** Reads objects by name: an id, or "<commit>:<path>". A name is one line. */
export type ObjectReader = {
  /** Id and type of each, without bytes; undefined where there is nothing of that name. */
  describe(names: readonly string[]): Promise<(GitObject | undefined)[]>;
  /** With what they hold. Throws GitFailed for one larger than `maxBytes`. */
  read(names: readonly string[], maxBytes: number): Promise<(GitObject | undefined)[]>;
};

export type OpenRepository = BareRepository & { readonly objects: ObjectReader };

/**
 * A repository whose objects are read by a `git cat-file` that stays for the next question: to start git takes ten times as
 * long as its answer. It ends by itself when nobody has asked for `idleMs`, and with this process, however that ends.
 */
export function openRepository(repository: BareRepository, idleMs = usualIdleMs): OpenRepository {
  const describe = asker(repository, "--batch-check", idleMs);
  const read = asker(repository, "--batch", idleMs);
  return { ...repository, objects: { describe: (names) => describe(names, Infinity), read } };
}

type Ask = (names: readonly string[], maxBytes: number) => Promise<(GitObject | undefined)[]>;

function asker(repository: BareRepository, mode: Mode, idleMs: number): Ask {
  // One question at a time: the answers come on one stream.
  const inTurn = serial();
  let open: Conversation | undefined;
  return async (names, maxBytes) => {
    if (names.length === 0) return [];
    return await inTurn(async () => {
      const before = open?.isUsable() === true ? open : undefined;
      open = before ?? converse(repository, mode, idleMs);
      try {
        return await open.ask(names, maxBytes);
      } catch (error) {
        // One that was there before may have ended between two questions; a new one says what is wrong.
        if (before === undefined || !(error instanceof Ended)) throw error;
        open = converse(repository, mode, idleMs);
        return await open.ask(names, maxBytes);
      }
    });
  };
}

/** Git ended instead of answering. */
class Ended extends GitFailed {}

type Mode = "--batch" | "--batch-check";
type Conversation = { isUsable(): boolean; readonly ask: Ask };

function converse(repository: BareRepository, mode: Mode, idleMs: number): Conversation {
  const arguments_ = ["cat-file", mode];
  const child = startGit(repository, arguments_, { limits: strangersLimits });
  const born = performance.now();
  let ended: Error | undefined;
  let complaint = "";
  let fail = (_error: Error): void => undefined;
  let hear = (_chunk: Buffer): void => undefined;
  let idle: NodeJS.Timeout | undefined;
  const end = (error: Error): void => {
    ended ??= error;
    clearTimeout(idle);
    fail(ended);
  };
  child.stdout.on("data", (chunk: Buffer) => hear(chunk));
  child.stderr.on("data", (chunk: Buffer) => (complaint = (complaint + chunk.toString("utf8")).slice(-4_000)));
  // Its end says why.
  child.stdin.on("error", () => undefined);
  child.once("error", end);
  child.once("close", () => end(new Ended(failureOf(arguments_, complaint, { limits: strangersLimits }).message)));
  /** While it waits for a question it keeps nobody alive. */
  const rest = (): void => {
    for (const one of [child, ...child.stdio]) (one as { unref?(): void } | null | undefined)?.unref?.();
    idle = setTimeout(() => child.stdin.end(), idleMs).unref();
  };
  const wake = (): void => {
    for (const one of [child, ...child.stdio]) (one as { ref?(): void } | null | undefined)?.ref?.();
    clearTimeout(idle);
  };
  return {
    isUsable: () => ended === undefined && !child.stdin.writableEnded && performance.now() - born < longestLifeMs,
    async ask(names, maxBytes) {
      wake();
      try {
        return await new Promise((resolve, reject) => {
          fail = reject;
          if (ended !== undefined) reject(ended);
          const parse = objectParser(names, mode === "--batch", maxBytes);
          hear = (chunk) => {
            try {
              const found = parse(chunk);
              if (found !== undefined) resolve(found);
            } catch (error) {
              // What it would still say belongs to nobody.
              end(error as Error);
              killGroup(child);
            }
          };
          child.stdin.write(names.map((name) => `${name}\n`).join(""));
        });
      } finally {
        fail = () => undefined;
        hear = () => undefined;
        if (ended === undefined) rest();
      }
    },
  };
}
