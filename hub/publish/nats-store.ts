import { mkdir } from "node:fs/promises";
import { join } from "node:path";

export const storeOf = (directory: string): string => join(directory, "jetstream");

/**
 * Makes an account's folder before the server starts. Without one, the server sets the account up when the first of its
 * users connects, and takes away the empty folder that it made to try: a stream that another user makes at that moment goes
 * with it, is refused, or loses its files. What is there is set up before anybody connects.
 */
export async function prepareStore(directory: string, account: string): Promise<void> {
  // It takes away what is empty when it starts; a leading dot is what it left of a stream, and cleans up by itself.
  await mkdir(join(storeOf(directory), "jetstream", account, "streams", ".new"), { recursive: true, mode: 0o700 });
}
