import { readFile } from "node:fs/promises";

/** One request as the API server itself recorded it. */
export type AuditedRequest = {
  readonly user: string;
  /** Whose name it was done in; empty when in the user's own. */
  readonly as: string;
  readonly verb: string;
  readonly resource: string;
  readonly namespace: string;
  readonly name: string;
  readonly subresource: string;
  readonly code: number;
  readonly uri: string;
  readonly userAgent: string;
  /** When it was answered, milliseconds since 1970. */
  readonly answeredAtMs: number;
};

type AuditEvent = {
  stage: string;
  stageTimestamp: string;
  verb: string;
  requestURI: string;
  userAgent?: string;
  user: { username: string };
  impersonatedUser?: { username: string };
  objectRef?: { resource?: string; namespace?: string; name?: string; subresource?: string };
  responseStatus?: { code?: number };
};

/**
 * Whether it is of the Secret in which an agent keeps, while its hub is away, what that has yet to hear: how often that is
 * written is a matter of how long the hub is away, and what of the last receipts it had heard.
 */
export const isOfJournal = ({ resource, name }: AuditedRequest): boolean =>
  resource === "secrets" && name === "plumbline-journal";

/** Every request that the API server answered so far, oldest first. A long watch counts once, when it is answered. */
export async function readAuditLog(path: string): Promise<AuditedRequest[]> {
  const text = await readFile(path, "utf8").catch(() => "");
  const whole = text.slice(0, text.lastIndexOf("\n") + 1);
  return whole
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as AuditEvent)
    .filter((event) => event.stage === (event.verb === "watch" ? "ResponseStarted" : "ResponseComplete"))
    .map((event) => ({
      user: event.user.username,
      as: event.impersonatedUser?.username ?? "",
      verb: event.verb,
      resource: event.objectRef?.resource ?? "",
      namespace: event.objectRef?.namespace ?? "",
      name: event.objectRef?.name ?? "",
      subresource: event.objectRef?.subresource ?? "",
      code: event.responseStatus?.code ?? 0,
      uri: event.requestURI,
      userAgent: event.userAgent ?? "",
      answeredAtMs: Date.parse(event.stageTimestamp),
    }));
}
