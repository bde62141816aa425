import type { IndexAnswer, IndexQuery } from "#hub/charts/chart-index.ts";
import { startRenderChild } from "#hub/render/render-child.ts";
import { toolVersions } from "#hub/render/tools.ts";
import type { Rendered, RenderProblem, RenderTarget } from "#hub/render/target.ts";

/** Raised when the same files would give another bundle: what was signed is then rendered anew on purpose. */
export const rendererVersion = `plain/2 kustomize/${toolVersions.kustomize} helm/${toolVersions.helm}`;

/** A bundle at every limit takes about 3 s; what takes longer does not end. */
const taskLimitMs = 30_000;

/** Files of a commit in, a sealed bundle or the reason for none out. A function of Git alone. */
export type Renderer = AsyncDisposable & {
  readonly version: string;
  render(target: RenderTarget): Promise<Rendered | RenderProblem>;
  /** Looks a chart up in the index of a Helm repository: as large a text of strangers as any. */
  find(query: IndexQuery): Promise<IndexAnswer>;
};

/** What a worker does; `name` begins what is said when it fails. */
export type Task = { readonly name: string } & ({ readonly target: RenderTarget } | { readonly query: IndexQuery });
type TaskOutcome = Rendered | IndexAnswer | RenderProblem;

type Waiting = { readonly task: Task; readonly resolve: (outcome: TaskOutcome) => void };

/** Renders in `threads` processes of their own; one that is ended by its limits is replaced. */
export function createRenderer(contentSecret: Uint8Array, threads = 2): Renderer {
  const queue: Waiting[] = [];
  const idle: Thread[] = [];
  const all = new Set<Thread>();
  const life = new AbortController();

  const next = (): void => {
    while (queue.length > 0 && !life.signal.aborted) {
      const thread = idle.pop() ?? (all.size < threads ? create() : undefined);
      if (thread === undefined) return;
      const { task, resolve } = queue.shift()!;
      void thread.run(task).then((outcome) => {
        if (thread.isUsable()) idle.push(thread);
        else all.delete(thread);
        resolve(outcome);
        next();
      });
    }
  };
  const create = (): Thread => {
    const thread = startThread(contentSecret);
    all.add(thread);
    return thread;
  };
  // A worker answers each task in its own kind.
  const ask = <Outcome extends TaskOutcome>(task: Task): Promise<Outcome> =>
    new Promise((resolve) => {
      queue.push({ task, resolve: resolve as Waiting["resolve"] });
      next();
    });
  return {
    version: rendererVersion,
    render: (target) => ask({ name: target.application, target }),
    find: (query) => ask({ name: query.address, query }),
    async [Symbol.asyncDispose]() {
      life.abort();
      await Promise.all([...all].map((thread) => thread.end()));
    },
  };
}

type Thread = {
  run(task: Task): Promise<TaskOutcome>;
  isUsable(): boolean;
  end(): Promise<unknown>;
};

function startThread(contentSecret: Uint8Array): Thread {
  const child = startRenderChild(contentSecret);
  let usable = true;
  // One that dies between two tasks must not take the hub with it.
  child.onEnd(() => (usable = false));
  let tasks = 0;
  return {
    isUsable: () => usable,
    end: () => child.end(),
    run(task) {
      const id = (tasks += 1);
      return new Promise((resolve) => {
        const finish = (outcome: TaskOutcome, isUsable: boolean): void => {
          clearTimeout(limit);
          for (const stop of listening) stop();
          usable &&= isUsable;
          if (!isUsable) void child.end();
          resolve(outcome);
        };
        const fail = (because: string): void =>
          finish({ ok: false, because: `${task.name}: ${because}`, isPassing: true }, false);
        const limit = setTimeout(() => fail(`rendering takes more than ${taskLimitMs / 1000} s`), taskLimitMs);
        const listening = [
          child.onMessage((message) => {
            const answer = message as { id: number; outcome: TaskOutcome };
            if (answer.id === id) finish(answer.outcome, true);
          }),
          child.onEnd((how) =>
            fail(
              how === "outgrown"
                ? `rendering needs more than ${child.megabytes} MB`
                : "rendering ended before its time",
            ),
          ),
        ];
        child.send({ id, task });
      });
    },
  };
}
