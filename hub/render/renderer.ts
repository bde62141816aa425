import { Worker } from "node:worker_threads";
import type { IndexAnswer, IndexQuery } from "#hub/charts/chart-index.ts";
import { toolVersions } from "#hub/render/tools.ts";
import type { Rendered, RenderProblem, RenderTarget } from "#hub/render/target.ts";

/** Raised when the same files would give another bundle: what was signed is then rendered anew on purpose. */
export const rendererVersion = `plain/2 kustomize/${toolVersions.kustomize} helm/${toolVersions.helm}`;

/** A bundle of 10 MiB costs some 200 MB while it is parsed; a bomb ends the worker, not the hub. */
const workerMegabytes = 512;
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

/** Renders on `threads` worker threads; one that is killed by its limits is replaced. */
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
  // The bundled hub has its worker beside it under the same name, with the other extension.
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  const worker = new Worker(new URL(`./render-worker.${extension}`, import.meta.url), {
    workerData: { contentSecret },
    resourceLimits: { maxOldGenerationSizeMb: workerMegabytes },
    env: {},
  });
  worker.unref();
  let usable = true;
  // A worker that dies between two tasks must not take the hub with it.
  worker.on("error", () => (usable = false));
  worker.on("exit", () => (usable = false));
  let tasks = 0;
  return {
    isUsable: () => usable,
    end: () => worker.terminate(),
    run(task) {
      const id = (tasks += 1);
      return new Promise((resolve) => {
        const finish = (outcome: TaskOutcome, isUsable: boolean): void => {
          clearTimeout(limit);
          worker.off("message", answered);
          worker.off("error", outgrown);
          worker.off("exit", ended);
          usable &&= isUsable;
          if (!isUsable) void worker.terminate();
          resolve(outcome);
        };
        const fail = (because: string): void => finish({ ok: false, because: `${task.name}: ${because}` }, false);
        const limit = setTimeout(() => fail(`rendering takes more than ${taskLimitMs / 1000} s`), taskLimitMs);
        const answered = (answer: { id: number; outcome: TaskOutcome }): void => {
          if (answer.id === id) finish(answer.outcome, true);
        };
        const outgrown = (): void => fail(`rendering needs more than ${workerMegabytes} MB`);
        const ended = (): void => fail("rendering ended before its time");
        worker.on("message", answered);
        worker.on("error", outgrown);
        worker.on("exit", ended);
        worker.postMessage({ id, task });
      });
    },
  };
}
