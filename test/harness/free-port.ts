import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";

/**
 * Below 32768, where Linux starts to take ports for outgoing connections: a port from there could be lost to any client
 * between being asked for and the server's start. Above 10080, the last port that `fetch` refuses to speak to
 * (https://fetch.spec.whatwg.org/#port-blocking), and where few services have a fixed port.
 */
const range = { from: 10_081, to: 32_768 };

/**
 * Loopback ports that are free, for servers that cannot be told to choose one and say which.
 * Ports are asked for together, so that one call never gives the same port twice.
 */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = randomInt(range.from, range.to);
    if (await isFree(port)) ports.add(port);
  }
  return [...ports];
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    await once(server.listen(port, "127.0.0.1"), "listening");
  } catch {
    return false;
  }
  await once(server.close(), "close");
  return true;
}
