import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { createDownload } from "./download.ts";

const here = [{ address: "127.0.0.1", family: 4 }];
const { signal } = new AbortController();

test("a name whose address is internal is not connected to, unless it is allowed by name", async () => {
  let asked = 0;
  const server = createServer((_request, response) => {
    asked += 1;
    response.end("reached");
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  try {
    {
      await using download = createDownload(new Set(), signal, (_name, _options, found) => found(null, here));
      await expect(download(`https://charts.example:${port}/index.yaml`, { maxBytes: 100 })).rejects.toThrow(
        "charts.example has an internal address; allow it with --allow-repository-host charts.example",
      );
      expect(asked).toBe(0);
    }
    await using allowed = createDownload(new Set(["charts.example"]), signal, (_name, _options, found) =>
      found(null, here),
    );
    const answer = await allowed(`http://charts.example:${port}/index.yaml`, { maxBytes: 100 });
    expect(answer.body.toString()).toBe("reached");
  } finally {
    server.close();
  }
});

test("says what could not be reached, without what a query holds", async () => {
  await using download = createDownload(new Set(), signal, (_name, _options, found) =>
    found(Object.assign(new Error("no such name"), { code: "ENOTFOUND" }), []),
  );
  const failed = download("https://charts.example/a.tgz?token=canary", { maxBytes: 100 });
  await expect(failed).rejects.toThrow(/^https:\/\/charts\.example\/a\.tgz: .*no such name/);
  await expect(failed).rejects.not.toThrow("canary");
});
