import { isWithin } from "#agent/drift/paths.ts";
import type { Delivery, DriftException } from "#proto/desired-state.ts";
import { describeRef, type ObjectRef } from "#proto/object.ts";

/** The exception under which a drifted field is let be, now. */
export function exceptionFor(
  delivery: Delivery,
  ref: ObjectRef,
  path: string,
  nowMs: number,
): DriftException | undefined {
  return delivery.exceptions.find(
    (exception) =>
      (exception.untilMs === null || nowMs < exception.untilMs) &&
      matches(exception.object, describeRef(ref)) &&
      exception.fields.some((field) => isWithin(path, field)),
  );
}

export const hasExceptions = (delivery: Delivery, ref: ObjectRef): boolean =>
  delivery.exceptions.some(({ object }) => matches(object, describeRef(ref)));

/** `*` stands for any run of characters. */
function matches(pattern: string, text: string): boolean {
  const parts = pattern.split("*");
  if (parts.length === 1) return pattern === text;
  if (!text.startsWith(parts[0]!) || !text.endsWith(parts.at(-1)!)) return false;
  let at = parts[0]!.length;
  for (const part of parts.slice(1, -1)) {
    const found = text.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return at <= text.length - parts.at(-1)!.length;
}
