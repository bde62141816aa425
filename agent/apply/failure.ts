import { ApiError, UnknownKind } from "#agent/cluster/errors.ts";

/** What to do after an apply failed. Final: until the digest or the object changes. */
export type Failure = {
  readonly final: boolean;
  /** Kubernetes' reason, or a word of ours; safe to show and to count by. */
  readonly reason: string;
  readonly message: string;
  readonly retryAfterMs?: number;
};

// 403 of a namespace that is being deleted, or of a full quota, passes with time; of RBAC it does not.
const passing = /is being terminated|exceeded quota/;
/** API server messages can quote the object: what is passed on is bounded, and never leaves in a span. */
const shownMessage = 1_000;

export function failureOf(error: unknown): Failure {
  if (error instanceof UnknownKind) return { final: false, reason: "UnknownKind", message: error.message };
  if (error instanceof ApiError) return apiFailure(error);
  // The connection broke or timed out: whether the write happened is not known, and applying again is harmless.
  const message = (error instanceof Error ? error.message : String(error)).slice(0, shownMessage);
  return { final: false, reason: "OutcomeUnknown", message };
}

function apiFailure(error: ApiError): Failure {
  const reason = error.reason === "" ? `Status${error.status}` : error.reason;
  const message = error.message.slice(0, shownMessage);
  const retry = error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs };
  return { final: isFinal(error), reason, message, ...retry };
}

function isFinal({ status, message }: ApiError): boolean {
  if (status === 403) return !passing.test(message);
  if (status === 400 || status === 422) return true;
  return status === 500 && message.startsWith("failed to create typed patch object");
}
