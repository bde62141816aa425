import { isAlias, isMap, isScalar, isSeq, type Document, type Node } from "yaml";
import type { FieldPath } from "./problem.ts";

/** Of the key that names the field, or of the item, or of the nearest one around it: where a person would look. */
export function offsetOf(document: Document.Parsed, path: FieldPath): number {
  let node: Node | null = document.contents;
  let offset = node?.range?.[0] ?? 0;
  for (const segment of path) {
    const found = memberOf(node, segment, document);
    if (!found) return offset;
    ({ offset, node } = found);
  }
  return offset;
}

/** The text of a scalar as it was written, also in a document that is broken elsewhere. */
export function textAt(document: Document.Parsed, path: FieldPath): string | undefined {
  let node: Node | null = document.contents;
  for (const segment of path) node = memberOf(node, segment, document)?.node ?? null;
  if (!isScalar(node)) return undefined;
  return node.source ?? (typeof node.value === "string" ? node.value : undefined);
}

type Member = { readonly offset: number; readonly node: Node | null };

function memberOf(node: Node | null, segment: string | number, document: Document): Member | undefined {
  const inside = isAlias(node) ? node.resolve(document) : node;
  if (isMap<Node, Node | null>(inside)) {
    const pair = inside.items.find(({ key }) => isScalar(key) && key.value === segment);
    return pair && { offset: pair.key.range?.[0] ?? 0, node: pair.value };
  }
  const item = isSeq<Node>(inside) && typeof segment === "number" ? inside.items[segment] : undefined;
  return item && { offset: item.range?.[0] ?? 0, node: item };
}
