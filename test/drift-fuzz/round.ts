import type { Drift } from "#proto/gen/plumbline/agent/v1/agent.ts";
import type { KubeObject } from "#proto/object.ts";
import type { Edit } from "./edits.ts";
import type { Asked } from "./oracle.ts";

/** One object in one round: what was done to it, what the server would do about that, and what the agent made of it. */
export type Step = {
  readonly key: string;
  readonly desired: KubeObject;
  /** As it was when it was last applied to nothing. */
  readonly pristine: KubeObject;
  readonly before: KubeObject;
  readonly edits: readonly Edit[];
  /** After each of the edits, while the agent's hands were held. */
  readonly asked: readonly Asked[];
  /** What it was between the writes, before the last: the agent may have seen that. */
  readonly passing: readonly KubeObject[];
  /** The agent was down meanwhile. */
  readonly isOffline: boolean;
  readonly drifts: readonly Drift[];
  /** Fields of others by path, as they were told last; undefined when nothing was told in this round. */
  readonly told: ReadonlyMap<string, string> | undefined;
  /** The same, told in this round or in an earlier one. */
  readonly known: ReadonlyMap<string, string>;
  readonly writes: number;
  readonly after: KubeObject | undefined;
  readonly askedAfter: Asked;
};

/** Where the agent and the server do not say the same. */
export type Disagreement = { readonly about: About; readonly path: string; readonly text: string };
export type About =
  /** An apply would change a value that we own, and nobody was told. */
  | "missed"
  /** A field was told that no apply would change. */
  | "invented"
  /** An apply changes a value that our entry does not name. */
  | "beside"
  /** Something was written though nothing differed, or not written though something did. */
  | "writes"
  /** An apply that the server refuses, and nobody was told. */
  | "refusal"
  /** Still different after the heal, or an episode that did not end. */
  | "unsettled"
  /** Values are as they should be, and an apply would change entries. */
  | "owners"
  | "tool"
  | "foreign missed"
  | "foreign invented"
  | "secret told";
