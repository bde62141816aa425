import { EVENT_ID, getScalarValue, SCALAR_STYLE, type Event } from "js-yaml";
import { nodesOf } from "#hub/render/yaml-events.ts";

/** What kubectl takes for something else than its writer probably meant. */
export type Doubt = { readonly at: number; readonly path: readonly (string | number)[]; readonly message: string };

/** Of one document: whoever wrote one of them wrote all of them. */
const toldDoubts = 20;

/** Words that YAML 1.1 takes for booleans, and 1.2, which editors know, for text. */
const booleanWord = /^(?:y|Y|yes|Yes|YES|on|On|ON|n|N|no|No|NO|off|Off|OFF)$/;
const isTrue = (word: string): boolean => /^(?:y|on)/i.test(word);
/** 0644, 0b1, 1_000: numbers, and others than one reads. */
const oddInteger = /^[-+]?(?:0[0-7_]+|0[bBoOxX][0-9a-fA-F_]+|[1-9][\d]*_[\d_]*)$/;
/** 1.10 is 1.1, and the abbreviated commit 12e4567 is infinite or nearly so. */
const oddFloat = /^[-+]?\d+(?:\.\d*0|[eE]\d+)$/;
/** Where Kubernetes asks for permissions, octal is what everybody writes. */
const permissions = new Set(["mode", "defaultMode"]);
/** Longer ones are no slip. */
const longest = 24;

/** Scalars without quotation marks that are read as a boolean or a number in a way that surprises. */
export function doubtsIn(events: readonly Event[], source: string, of: "all" | "numbers" = "all"): Doubt[] {
  const found = new Set<Event>();
  for (const event of events) {
    if (event.type !== EVENT_ID.SCALAR || event.style !== SCALAR_STYLE.PLAIN || event.tagStart >= 0) continue;
    if (isSuspicious(source, event.valueStart, event.valueEnd, of)) found.add(event);
    if (found.size === toldDoubts) break;
  }
  // Nearly every document has none, and is walked no second time.
  return found.size === 0 ? [] : placed(events, source, found);
}

function isSuspicious(source: string, from: number, to: number, of: "all" | "numbers"): boolean {
  const length = to - from;
  if (length === 0 || length > longest) return false;
  const first = source.charCodeAt(from);
  const isNumber = (first >= 48 && first <= 57) || first === 43 || first === 45;
  if (!isNumber && (length > 3 || of === "numbers")) return false;
  const text = source.slice(from, to);
  return isNumber ? oddInteger.test(text) || oddFloat.test(text) : booleanWord.test(text);
}

function placed(events: readonly Event[], source: string, found: ReadonlySet<Event>): Doubt[] {
  const doubts: Doubt[] = [];
  const path: (string | number)[] = [];
  for (const { event, frame, depth } of nodesOf(events)) {
    path.length = Math.max(0, depth - 1);
    if (frame === undefined) continue;
    const isKey = frame.isMap && frame.count % 2 === 0;
    if (!isKey) path.push(frame.isMap ? textOf(frame.key, source) : frame.count);
    if (event.type !== EVENT_ID.SCALAR || !found.has(event)) continue;
    const text = getScalarValue(source, event);
    const message = isKey ? keyMessage(text) : valueMessage(text, path.at(-1)!);
    if (message !== undefined) doubts.push({ at: event.valueStart, path: [...path], message });
  }
  return doubts;
}

const textOf = (event: Event | undefined, source: string): string =>
  event?.type === EVENT_ID.SCALAR ? getScalarValue(source, event) : "";

const keyMessage = (text: string): string | undefined =>
  booleanWord.test(text) ? `has a key ${text}, which is read as "${isTrue(text)}": put it in quotes` : undefined;

function valueMessage(text: string, field: string | number): string | undefined {
  if (booleanWord.test(text))
    return `is ${text}, which is read as ${isTrue(text)}: write ${isTrue(text)}, or "${text}" for the text`;
  if (typeof field === "string" && permissions.has(field)) return undefined;
  const number = numberOf(text);
  return `is ${text}, which is read as the number${number === undefined ? "" : ` ${number}`}: write ${number === undefined ? "it out" : "that"}, or "${text}" for the text`;
}

/** As the reader has it; undefined where it is best not said. */
function numberOf(text: string): string | undefined {
  const digits = text.replaceAll("_", "").replace(/^([-+]?)0(?=[0-7])/, "$10o");
  const sign = digits.startsWith("-") ? -1 : 1;
  const value = sign * Number(digits.replace(/^[-+]/, ""));
  return Number.isSafeInteger(value) || /[.]/.test(digits) ? String(value) : undefined;
}
