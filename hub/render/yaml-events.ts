import { EVENT_ID, getScalarValue, SCALAR_STYLE, type Event } from "js-yaml";

/** A node of a document: where its key, or else itself, begins, and how it is reached. */
type Place = { readonly path: readonly (string | number)[]; readonly at: number };
type Frame = { readonly isMap: boolean; key: Event | undefined; count: number };

/** Names what kubectl reads otherwise than YAML says, or not at all; undefined when there is nothing of it. */
export function unreadKey(events: readonly Event[], source: string): { at: number; message: string } | undefined {
  for (const { event, frame } of nodesOf(events)) {
    if (frame?.isMap !== true || frame.count % 2 === 1 || event.type !== EVENT_ID.SCALAR) continue;
    // Longer ones are neither, and most keys are.
    const isPlain = event.style === SCALAR_STYLE.PLAIN && event.tagStart < 0;
    if (!isPlain || event.valueEnd - event.valueStart > 4) continue;
    const text = getScalarValue(source, event);
    if (/^(?:~|null|Null|NULL|)$/.test(text))
      return { at: event.valueStart, message: "has a key that is null: put it in quotes" };
    // go-yaml lets a merge win over what stands before it; YAML says the opposite.
    if (text === "<<" && frame.count > 0)
      return {
        at: event.valueStart,
        message: "has a << that is not the first key of its mapping: kubectl would let it win over the keys before it",
      };
  }
  return undefined;
}

/** Where the node at a path, or the nearest one around it, was written: an offset into the source. */
export function offsetOf(events: readonly Event[], source: string, path: readonly (string | number)[]): number {
  let best: Place = { path: [], at: 0 };
  for (const place of placesOf(events, source)) {
    const isAround = place.path.length <= path.length && place.path.every((segment, n) => segment === path[n]);
    if (isAround && place.path.length >= best.path.length) best = place;
  }
  return best.at;
}

/** Every node with the collection it stands in, as it is before the node is counted. */
export function* nodesOf(
  events: readonly Event[],
): Generator<{ event: Event; frame: Frame | undefined; depth: number }> {
  const frames: Frame[] = [];
  for (const event of events) {
    if (event.type === EVENT_ID.DOCUMENT) continue;
    if (event.type === EVENT_ID.POP) {
      frames.pop();
      continue;
    }
    const frame = frames.at(-1);
    yield { event, frame, depth: frames.length };
    if (frame !== undefined) {
      if (frame.isMap && frame.count % 2 === 0) frame.key = event;
      frame.count += 1;
    }
    if (event.type === EVENT_ID.MAPPING || event.type === EVENT_ID.SEQUENCE)
      frames.push({ isMap: event.type === EVENT_ID.MAPPING, key: undefined, count: 0 });
  }
}

function* placesOf(events: readonly Event[], source: string): Generator<Place> {
  const path: (string | number)[] = [];
  let keyAt = 0;
  for (const { event, frame, depth } of nodesOf(events)) {
    path.length = Math.max(0, depth - 1);
    if (frame === undefined) yield { path: [], at: startOf(event) };
    else if (frame.isMap && frame.count % 2 === 0) keyAt = startOf(event);
    else {
      path.push(frame.isMap ? keyOf(frame.key, source) : frame.count);
      yield { path: [...path], at: frame.isMap ? keyAt : startOf(event) };
    }
  }
}

const keyOf = (event: Event | undefined, source: string): string =>
  event?.type === EVENT_ID.SCALAR ? getScalarValue(source, event) : "";

function startOf(event: Event): number {
  if ("valueStart" in event && event.valueStart >= 0) return event.valueStart;
  if ("start" in event && event.start >= 0) return event.start;
  return "anchorStart" in event ? Math.max(0, event.anchorStart) : 0;
}
