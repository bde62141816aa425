import type { Outcome } from "#hub/api/actions.ts";

/** What was asked for is not done; says why, and what to do. */
export type Refusal = Extract<Outcome<object>, { ok: false }>;

export const refuse = (status: Refusal["status"], message: string, advice: string): Refusal => ({
  ok: false,
  status,
  message,
  advice,
});
