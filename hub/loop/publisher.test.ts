import { expect, test } from "vitest";
import type { Draft, Known } from "#hub/loop/desired.ts";
import { createPublisher } from "#hub/loop/publisher.ts";
import type { Lease } from "#hub/publish/held-lease.ts";
import type { DesiredState } from "#proto/desired-state.ts";
import { clusterId, revision } from "#proto/ids.ts";

const cluster = clusterId("eu-1");
const [older, newer] = ["older", "newer"].map((text) => Buffer.from(text)) as [Buffer, Buffer];
const state: DesiredState = {
  cluster,
  epoch: 1,
  generation: 1n,
  fleetCommit: revision("f".repeat(40)),
  recordCommit: "",
  issuedAtMs: 0,
  entries: [],
  healthRules: [],
};
const draft: Draft = { cluster, envelope: newer, state };

/** A broker that takes its time, and what it was given last. */
function opened() {
  let known: Known | undefined = { bytes: older, state };
  let held = "";
  const publisher = createPublisher(
    {
      publish: async ([document]) => {
        await new Promise((resolve) => setImmediate(resolve));
        held = Buffer.from(document!.envelope).toString();
        return "published";
      },
    },
    {} as Lease,
    {
      known: () => known,
      published: ({ envelope, state: newest }) => void (known = { bytes: envelope, state: newest }),
    },
  );
  return { publisher, held: () => held };
}

test("what an agent shows to a broker that lost it never replaces what is newer", async () => {
  const { publisher, held } = opened();
  const both = [publisher.publish([{ draft, traceparent: "" }]), publisher.putBack(cluster, older)];
  expect(await Promise.all(both)).toEqual(["published", "older"]);
  expect(held()).toBe("newer");
});

test("what is put back first is followed by what is newer", async () => {
  const { publisher, held } = opened();
  const both = [publisher.putBack(cluster, older), publisher.publish([{ draft, traceparent: "" }])];
  expect(await Promise.all(both)).toEqual(["published", "published"]);
  expect(held()).toBe("newer");
});
