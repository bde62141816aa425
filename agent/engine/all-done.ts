/** Ends when all have ended, so that nothing goes on behind the back of whoever tries again. */
export async function allDone(...works: readonly Promise<void>[]): Promise<void> {
  for (const ended of await Promise.allSettled(works)) if (ended.status === "rejected") throw ended.reason as Error;
}
