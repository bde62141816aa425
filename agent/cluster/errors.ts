import type { Json } from "#proto/object.ts";

/** A refusal by the API server. Its message can quote the object, so it never goes into spans or metrics. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;
  /** Kubernetes' machine-readable reason: Conflict, AlreadyExists, Invalid, ... */
  readonly reason: string;
  readonly retryAfterMs: number | undefined;
  /** Fields that the server found fault with, if it said. */
  readonly fields: readonly string[];
  /** The object it speaks of; empty when the server does not even know the path. */
  readonly about: string;

  constructor(status: number, answer: Json, retryAfter?: string) {
    const said = statusOf(answer);
    super(said.message === "" ? `API server answered ${status}` : said.message);
    this.status = status;
    this.reason = said.reason;
    this.fields = said.fields;
    this.about = said.about;
    const seconds = Number(retryAfter);
    this.retryAfterMs = retryAfter !== undefined && Number.isFinite(seconds) ? seconds * 1000 : undefined;
  }
}

/** The version to watch from is too old (410): list again and compare. */
export class WatchExpired extends Error {
  override readonly name = "WatchExpired";
}

/** A watch that gave no byte, not even a bookmark, for longer than bookmarks are apart. */
export class WatchSilent extends Error {
  override readonly name = "WatchSilent";
}

/** The watch could not even be opened, for no server answers: the one that will may know another history. */
export class ServerAway extends Error {
  override readonly name = "ServerAway";
}

/** The API server does not serve this kind. */
export class UnknownKind extends Error {
  override readonly name = "UnknownKind";
}

/** The server of this kind's group does not answer, so whether it is served is not known. It is not gone. */
export class KindUnavailable extends Error {
  override readonly name = "KindUnavailable";
}

function statusOf(answer: Json): { message: string; reason: string; fields: string[]; about: string } {
  const status = recordOf(answer);
  const details = recordOf(status["details"] ?? null);
  const causes = details["causes"];
  return {
    about: textOf(details["name"]),
    message: textOf(status["message"]),
    reason: textOf(status["reason"]),
    fields: (Array.isArray(causes) ? causes : []).map((cause) => textOf(recordOf(cause)["field"])).filter(Boolean),
  };
}

const recordOf = (value: Json): Record<string, Json> =>
  value !== null && typeof value === "object" && !Array.isArray(value) ? value : {};
const textOf = (value: Json | undefined): string => (typeof value === "string" ? value : "");
