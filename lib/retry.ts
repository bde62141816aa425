/** Waits between tries: doubling from `firstMs` up to `capMs`, each shortened by up to a half so that many do not meet. */
export type Backoff = { readonly firstMs: number; readonly capMs: number };

/** How long to wait before try `attempt` (from 1). `random` in [0, 1). */
export function backoffMs({ firstMs, capMs }: Backoff, attempt: number, random: number = Math.random()): number {
  const full = Math.min(capMs, firstMs * 2 ** Math.min(attempt - 1, 30));
  return full * (1 - random / 2);
}
