import { expect, test } from "vitest";
import { createKinds } from "./kinds.ts";
import type { Transport } from "./transport.ts";

const lists = {
  "/api": {
    kind: "APIGroupDiscoveryList",
    items: [
      {
        metadata: {},
        versions: [
          {
            version: "v1",
            resources: [
              {
                resource: "configmaps",
                responseKind: { group: "", version: "v1", kind: "ConfigMap" },
                scope: "Namespaced",
                verbs: ["list"],
              },
            ],
          },
        ],
      },
    ],
  },
  "/apis": { kind: "APIGroupDiscoveryList", items: [] },
};

test("whoever gives up waiting for what the server serves takes the answer from nobody else", async () => {
  let answer = (): void => undefined;
  const answered = new Promise<void>((resolve) => (answer = resolve));
  const transport: Transport = {
    call: ({ path, signal }) =>
      new Promise((resolve, reject) => {
        signal?.addEventListener("abort", () => reject(signal.reason as Error));
        void answered.then(() => resolve(lists[path as keyof typeof lists] as never));
      }),
    stream: () => Promise.reject(new Error("nobody watches here")),
    [Symbol.asyncDispose]: async () => undefined,
  };
  const kinds = createKinds(transport);
  const impatient = new AbortController();
  const first = kinds.find("v1", "ConfigMap", impatient.signal);
  const second = kinds.find("v1", "ConfigMap");
  impatient.abort(new Error("something newer is wanted"));
  await expect(first).rejects.toThrow("something newer is wanted");
  answer();
  expect(await second).toMatchObject({ resource: "configmaps" });
  expect(await kinds.findKnown("v1", "ConfigMap")).toMatchObject({ resource: "configmaps" });
});

test("a server that did not answer when it was asked what it serves is asked again by whoever needs to know next", async () => {
  let isAway = true;
  const transport: Transport = {
    call: ({ path }) =>
      isAway ? Promise.reject(new Error("away")) : Promise.resolve(lists[path as keyof typeof lists] as never),
    stream: () => Promise.reject(new Error("nobody watches here")),
    [Symbol.asyncDispose]: async () => undefined,
  };
  const kinds = createKinds(transport);
  await expect(kinds.find("v1", "ConfigMap")).rejects.toThrow("away");
  isAway = false;
  expect(await kinds.find("v1", "ConfigMap")).toMatchObject({ resource: "configmaps" });
  // Also after it has been known once.
  isAway = true;
  await expect(kinds.find("v1", "Secret")).rejects.toThrow("away");
  isAway = false;
  expect(await kinds.find("v1", "ConfigMap")).toMatchObject({ resource: "configmaps" });
});
