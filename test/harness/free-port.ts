import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";

/**
 * A loopback port that was free a moment ago, for servers that cannot be told to choose one and say which.
 * Ports are asked for together, so that one call never gives the same port twice.
 */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports;
}
