import { expect, test } from "vitest";
import { driftKindWord, driftStateWord, healthWord, phaseWord, worst } from "#hub/view/words.ts";
import { ApplicationPhase, DriftKind, DriftState, Health } from "#proto/gen/plumbline/agent/v1/agent.ts";

test("what a newer agent says in a word of its own is Unknown, never Current", () => {
  expect(healthWord(99 as Health)).toBe("Unknown");
  expect(healthWord(Health.UNSPECIFIED)).toBe("Unknown");
  expect(phaseWord(99 as ApplicationPhase)).toBe("Unknown");
  expect(driftKindWord(99 as DriftKind)).toBe("changed");
  expect(driftStateWord(99 as DriftState)).toBe("seen");
});

test("an application is as well as its worst object, and silence is worse than progress", () => {
  expect(worst(["Current", "InProgress", "Unknown"])).toBe("Unknown");
  expect(worst(["Unknown", "Failed"])).toBe("Failed");
  expect(worst(["Terminating", "InProgress"])).toBe("Terminating");
  expect(worst([])).toBe("Current");
});

test("every word of the protocol has one for people", () => {
  expect([Health.CURRENT, Health.NOT_FOUND, Health.IN_PROGRESS].map(healthWord)).toEqual([
    "Current",
    "NotFound",
    "InProgress",
  ]);
  expect([ApplicationPhase.HELD, ApplicationPhase.BLOCKED].map(phaseWord)).toEqual(["Held", "Blocked"]);
  expect([DriftKind.DELETED, DriftKind.REPLACED].map(driftKindWord)).toEqual(["deleted", "replaced"]);
  expect([DriftState.CONTESTED, DriftState.ENDED].map(driftStateWord)).toEqual(["contested", "ended"]);
});
