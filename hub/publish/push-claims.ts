import { connectNats, type NatsTarget } from "#hub/publish/connection.ts";
import { request } from "#hub/publish/jetstream.ts";

/** The broker did not take an account's claims; what it had before still holds. */
export class ClaimsRefused extends Error {
  override readonly name = "ClaimsRefused";
}

/** Over a connection of its own: the system account is used for this, and only while it is done. */
export async function pushClaims(target: NatsTarget, accountJwt: string): Promise<void> {
  const nats = await connectNats(target);
  try {
    const answer = await request(nats, "$SYS.REQ.CLAIMS.UPDATE", Buffer.from(accountJwt));
    const { data, error } = answer.json<{ data?: { code: number }; error?: { description: string } }>();
    if (data?.code !== 200) throw new ClaimsRefused(`broker refused an account's claims: ${error?.description}`);
  } finally {
    await nats.close();
  }
}
