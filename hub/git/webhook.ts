import { createHmac, timingSafeEqual } from "node:crypto";

/** Larger than any push event of the forges (GitHub cuts at 25 MB, but lists at most 2,048 commits). */
export const webhookBytes = 5 * 1024 * 1024;

export type WebhookCheck =
  | { readonly ok: true; readonly urls: readonly string[] }
  | { readonly ok: false; readonly because: string };

/**
 * Whether a push event is by somebody who knows the secret, and of which repository. The body is read only after its
 * signature held. GitHub and Gitea/Forgejo sign with HMAC-SHA-256. A webhook is a hint: what it says is fetched, not believed.
 */
export function checkWebhook(headers: Headers, body: Uint8Array, secret: string): WebhookCheck {
  if (body.length > webhookBytes) return { ok: false, because: "the event is larger than 5 MiB" };
  const given = headers.get("x-hub-signature-256")?.replace(/^sha256=/, "") ?? headers.get("x-gitea-signature");
  if (given === null || given === undefined) return { ok: false, because: "the event is not signed" };
  const expected = createHmac("sha256", secret).update(body).digest();
  const signature = Buffer.from(given, "hex");
  if (signature.length !== expected.length || !timingSafeEqual(signature, expected))
    return { ok: false, because: "the event is signed with another secret" };
  return { ok: true, urls: urlsOf(body) };
}

function urlsOf(body: Uint8Array): string[] {
  try {
    const { repository } = JSON.parse(Buffer.from(body).toString("utf8")) as { repository?: Record<string, unknown> };
    const fields = ["clone_url", "ssh_url", "html_url", "url"];
    return fields.map((field) => repository?.[field]).filter((url) => typeof url === "string");
  } catch {
    return [];
  }
}
