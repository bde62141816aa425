import type { DriftCase } from "./case.ts";
import { handCases } from "./hands.ts";
import { valueCases } from "./values.ts";

/** Every case, in the order of the table. */
export const driftCases: readonly DriftCase[] = [...valueCases, ...handCases].sort((a, b) => a.number - b.number);
