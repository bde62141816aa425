import { ApiError } from "#agent/cluster/errors.ts";

export const failing = ["403", "409", "422", "429", "500", "503", "cut", "timeoutAfterWrite"] as const;
export type Failing = (typeof failing)[number];

/** Final until the desired form changes. */
export const isRefusal = (kind: Failing): boolean => kind === "403" || kind === "422";

export function faultOf(kind: Failing): Error | "timeoutAfterWrite" {
  if (kind === "timeoutAfterWrite") return kind;
  if (kind === "cut") return new TypeError("fetch failed: the connection was cut");
  const status = Number(kind);
  const reason =
    { 403: "Forbidden", 409: "Conflict", 422: "Invalid", 429: "TooManyRequests" }[status] ?? "InternalError";
  return new ApiError(status, { reason, message: `${kind} as scripted` }, status === 429 ? "1" : undefined);
}
