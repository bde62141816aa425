import { canonicalJson } from "#proto/json.ts";
import type { Json, JsonObject, KubeObject } from "#proto/object.ts";
import { canonicalFields, changesBetween, ownFields, shapeOf } from "./difference.ts";
import { isNear, isWithin, roots, unknownTool } from "./judge.ts";
import type { Asked } from "./oracle.ts";
import type { Disagreement, Step } from "./round.ts";

export type RuleName = "R2" | "R3" | "R4" | "R5" | "R7" | "R8" | "R13";
type Rule = {
  readonly rule: RuleName;
  readonly says: string;
  explains(disagreement: Disagreement, step: Step): boolean;
};

/** Which rule of the drift table makes this what the agent shall do; undefined: none, so one of the two is wrong. */
export const ruleFor = (disagreement: Disagreement, step: Step): RuleName | undefined =>
  rules.find((rule) => rule.explains(disagreement, step))?.rule;

const rules: readonly Rule[] = [
  {
    rule: "R2",
    says: "absent, null, {} and [] are one value",
    explains: ({ about, path }, step) => ["missed", "beside", "unsettled"].includes(about) && isOfEmptiness(path, step),
  },
  {
    rule: "R2",
    says: "what differs only in the way to be empty is not written",
    explains: ({ about }, step) => {
      const last = step.asked.at(-1)!;
      return (
        about === "writes" &&
        last.kind === "answered" &&
        last.owners !== "ours" &&
        last.changes.length > 0 &&
        last.changes.every(({ path, owner }) => owner === "nobody" || isOfEmptiness(path, step))
      );
    },
  },
  {
    rule: "R3",
    says: "what happens to an object while its heal is on its way is judged by the answer",
    explains: ({ about, path }, { before, asked, isOffline, writes }) =>
      about === "missed" &&
      !isOffline &&
      writes > 0 &&
      asked.length > 1 &&
      asked.slice(0, -1).every((one) => !differedAt(one, path, before)),
  },
  {
    rule: "R4",
    says: "drift is told at the paths that we own; what an apply changes beside them is silent",
    explains: ({ about, path }, { asked }) => {
      const last = asked.at(-1)!;
      return (
        about === "beside" &&
        last.kind === "answered" &&
        last.changes.some((change) => change.path === path && change.owner === "nobody")
      );
    },
  },
  {
    rule: "R4",
    says: "an object whose entry and owned values are as they were is not applied, whatever the server would say",
    explains: ({ about }, { before, asked }) => {
      const last = asked.at(-1)!;
      return about === "refusal" && last.kind === "refused" && isOursUntouched(before, last.live);
    },
  },
  {
    rule: "R4",
    says: "who else owns a value of ours, in whatever form they wrote it, is no drift while our entry is as it was",
    explains: ({ about }, { askedAfter }) =>
      about === "owners" && askedAfter.kind === "answered" && askedAfter.owners === "others",
  },
  {
    rule: "R4",
    says: "an event's object is compared with the answer, and differed then, though it was put back since",
    explains: ({ about, path }, { passing, asked }) => {
      const last = asked.at(-1)!;
      if (about !== "invented" || last.kind !== "answered") return false;
      const own = canonicalFields(ownFields(last.answer));
      return passing.some((state) =>
        changesBetween(state, last.answer, shapeOf(state, last.answer), own).some((change) =>
          isNear(change.path, path),
        ),
      );
    },
  },
  {
    rule: "R4",
    says: "our entry and the values at its paths are as they were: what an apply would change beside them asks for none",
    explains: ({ about }, { asked, askedAfter }) => {
      const one = about === "writes" ? asked.at(-1)! : askedAfter;
      return (
        (about === "writes" || about === "unsettled") &&
        one.kind === "answered" &&
        one.owners !== "ours" &&
        one.changes.length > 0 &&
        one.changes.every(({ owner }) => owner === "nobody")
      );
    },
  },
  {
    rule: "R5",
    says: "a change that no entry names, or that ours still names, is told as unknown",
    explains: ({ about }, step) =>
      about === "tool" && step.drifts.some(({ tool }) => tool === unknownTool) && isUntracked(step),
  },
  {
    rule: "R5",
    says: "the tool is the newest manager that owns what changed",
    explains: ({ about, path }, step) =>
      about === "tool" &&
      step.drifts
        .filter(({ fields }) => fields[0]?.path === path)
        .every(({ tool, fields }) =>
          statesOf(step).some((state) => fields.some((field) => ownersOf(state, field.path).includes(tool))),
        ),
  },
  {
    rule: "R7",
    says: "replicas are the autoscaler's while it names the object and our entry does not own them",
    explains: (disagreement, step) =>
      step.desired.kind === "Deployment" &&
      step.desired.metadata.name === "backend" &&
      isOfYielded(disagreement, step, "spec.replicas"),
  },
  {
    rule: "R8",
    says: "rules beside an aggregationRule are the controller's once our entry does not own them",
    explains: (disagreement, step) =>
      step.desired["aggregationRule"] !== undefined && isOfYielded(disagreement, step, "rules"),
  },
  {
    rule: "R13",
    says: "foreign fields are those that a manager owns; what nobody owns is nobody's",
    explains: ({ about, path }, { after }) =>
      about === "foreign missed" && after !== undefined && !isOthers(after, path),
  },
  {
    rule: "R13",
    says: "who writes the status is a controller, and its fields are none of ours",
    explains: ({ about, path }, { after }) =>
      about === "foreign missed" &&
      after !== undefined &&
      ownersOf(after, path).every((name) => statusWriters(after).has(name)),
  },
  {
    rule: "R13",
    says: "a field that another owns and we do not is foreign, also with the value that it had",
    explains: ({ about, path }, { after, passing }) =>
      about === "foreign invented" && after !== undefined && [after, ...passing].some((state) => isOthers(state, path)),
  },
];

/** Whether the agent could see by that state that this path is another. Of what is refused no answer says it. */
function differedAt(one: Asked, path: string, before: KubeObject): boolean {
  if (one.kind === "gone") return true;
  const shape = shapeOf(before, one.live);
  const changes = one.kind === "answered" ? one.changes : changesBetween(before, one.live, shape, ownFields(before));
  return changes.some((change) => isNear(change.path, path));
}

/** What is left of a value without everything empty in it. */
function bare(value: Json | undefined): Json | undefined {
  if (Array.isArray(value)) return value.length === 0 ? undefined : value.map((item) => bare(item) ?? null);
  if (typeof value !== "object" || value === null) return value ?? undefined;
  const left = Object.entries(value).flatMap(([name, inner]): [string, Json][] => {
    const kept = bare(inner);
    return kept === undefined ? [] : [[name, kept]];
  });
  return left.length === 0 ? undefined : Object.fromEntries(left);
}

const isEmpty = (value: Json | undefined): boolean => bare(value) === undefined;
const textOf = (value: Json | undefined): string => canonicalJson(bare(value) ?? null);

/** The change is between two ways to be empty, or within what we own as empty. */
function isOfEmptiness(path: string, { asked, askedAfter }: Step): boolean {
  const changes = [...asked, askedAfter].flatMap((one) => (one.kind === "answered" ? one.changes : []));
  return changes.some(
    (change) =>
      change.path === path &&
      (textOf(change.from) === textOf(change.to) || (isEmpty(change.to) && change.owner !== "nobody")),
  );
}

function isOursUntouched(before: KubeObject, live: KubeObject): boolean {
  const own = canonicalFields(ownFields(before));
  if (canonicalJson(own) !== canonicalJson(canonicalFields(ownFields(live)))) return false;
  return changesBetween(before, live, shapeOf(before, live), own).every(({ owner }) => owner === "nobody");
}

/** The states in which the agent may have seen it. */
const statesOf = ({ asked, passing }: Step): KubeObject[] => [
  ...asked.flatMap((one) => (one.kind === "gone" ? [] : [one.live])),
  ...passing,
];

const isUntracked = (step: Step): boolean =>
  step.drifts
    .filter(({ tool }) => tool === unknownTool)
    .every(({ fields }) =>
      statesOf(step).some((state) => fields.every(({ path }) => !isOthers(state, path) || isOurs(state, path))),
    );

/** Our entry names this path, or what is in it. */
const isOurs = (object: KubeObject, path: string): boolean =>
  leavesOf(ownFields(object), object).some((leaf) => isWithin(leaf, path));

/** All that an apply of everything would change is this one path, which our entry does not own. */
function isOfYielded({ about, path }: Disagreement, { asked, askedAfter }: Step, yielded: string): boolean {
  const isYielded = (one: Asked): boolean => {
    if (one.kind !== "answered" || isOwn(one.live, yielded)) return false;
    const [now, then] = [one.live, one.answer].map((object) => canonicalJson(withoutField(ownFields(object), yielded)));
    return now === then && one.changes.every((change) => change.path === yielded);
  };
  switch (about) {
    case "missed":
    case "unsettled":
    case "foreign missed":
      return (
        path === yielded && [...asked, askedAfter].some((one) => one.kind === "answered" && !isOwn(one.live, yielded))
      );
    case "owners":
      return isYielded(askedAfter);
    case "writes":
      return isYielded(asked.at(-1)!);
    default:
      return false;
  }
}

const keysOf = (path: string): string[] => path.split(".").map((name) => `f:${name}`);

const isOwn = (object: KubeObject, path: string): boolean =>
  keysOf(path).reduce<Json | undefined>(
    (fields, key) => (fields as JsonObject | undefined)?.[key],
    ownFields(object),
  ) !== undefined;

function withoutField(fields: JsonObject, path: string): JsonObject {
  const copy = structuredClone(canonicalFields(fields));
  const keys = keysOf(path);
  const parent = keys
    .slice(0, -1)
    .reduce<Json | undefined>((inner, key) => (inner as JsonObject | undefined)?.[key], copy);
  if (parent !== undefined) delete (parent as JsonObject)[keys.at(-1)!];
  return copy;
}

const isOthers = (object: KubeObject, path: string): boolean => ownersOf(object, path).length > 0;

/** Managers other than us with a path at or in that one: who owns an empty value around it has nothing of what is in it. */
function ownersOf(object: KubeObject, path: string): string[] {
  return (object.metadata.managedFields ?? [])
    .filter(({ manager, subresource = "" }) => manager !== "plumbline" && subresource === "")
    .filter(({ fieldsV1 = {} }) => leavesOf(fieldsV1, object).some((leaf) => isWithin(leaf, path)))
    .map(({ manager }) => manager);
}

const statusWriters = ({ metadata }: KubeObject): Set<string> =>
  new Set(
    (metadata.managedFields ?? [])
      .filter(({ subresource, fieldsV1 = {} }) => subresource === "status" || "f:status" in fieldsV1)
      .map(({ manager }) => manager),
  );

/** Every path of a field set, by what differs between the object and nothing. That there is a map at all is no field of it. */
function leavesOf(fields: JsonObject, object: KubeObject): string[] {
  const { apiVersion, kind, metadata } = object;
  const nothing = { apiVersion, kind, metadata: { name: metadata.name } } as KubeObject;
  const shape = canonicalFields(fields);
  return changesBetween(nothing, object, shape, shape)
    .filter(({ owner }) => owner !== "nobody")
    .map(({ path }) => path)
    .filter((path) => !roots.includes(path));
}
