import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";

/**
 * Below 32768, where Linux starts to take ports for outgoing connections: a port from there could be lost to any client
 * between being asked for and the server's start. Above 10080, the last port that `fetch` refuses to speak to
 * (https://fetch.spec.whatwg.org/#port-blocking), and where few services have a fixed port.
 */
const range = { from: 10_081, to: 32_768 };

/**
 * Loopback ports that are free, for servers that cannot be told to choose one and say which. They are this process's until
 * it ends: no other test gets one whose server is still to start, or is down for a while.
 */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) {
    const port = randomInt(range.from, range.to);
    if (await takePort(port)) ports.push(port);
  }
  return ports;
}

/** False when a server listens there, or a process has taken it. */
export async function takePort(port: number): Promise<boolean> {
  // What takes it is the same port of UDP, where no server of ours listens: the system gives it back, however this process ends.
  const taken = createSocket("udp4").unref();
  try {
    await once(taken.bind({ port, address: "127.0.0.1", exclusive: true }), "listening");
    const server = createServer();
    await once(server.listen(port, "127.0.0.1"), "listening");
    await once(server.close(), "close");
    return true;
  } catch {
    taken.close();
    return false;
  }
}
