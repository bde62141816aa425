import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { startControlPlane } from "#test/harness/control-plane.ts";
import { serverPath } from "#test/harness/servers.ts";

const run = promisify(execFile);

test("starts a real API server, counts its requests by user and verb, and ends it", async () => {
  let pid: number;
  {
    await using plane = await startControlPlane();
    pid = plane.apiserver.pid;
    const kubectl = (...words: string[]): Promise<unknown> =>
      run(serverPath("kubectl"), ["--kubeconfig", plane.adminKubeconfig, ...words]);
    await kubectl("create", "namespace", "shop");
    await kubectl("get", "namespace", "shop");
    const own = (await plane.requests()).filter(({ user, resource }) => user === "admin" && resource === "namespaces");
    expect(own.map(({ verb, code }) => `${verb} ${code}`)).toEqual(["create 201", "get 200"]);

    const stranger = await plane.kubeconfig("dev1");
    await expect(run(serverPath("kubectl"), ["--kubeconfig", stranger, "get", "secrets"])).rejects.toThrow("forbidden");
  }
  expect(() => process.kill(pid, 0)).toThrow("ESRCH");
});
