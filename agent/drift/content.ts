import { canonicalJson, sha256Hex } from "#proto/json.ts";
import type { Json, KubeObject } from "#proto/object.ts";

/** Changes when anything but the status does: whoever looked at an object and could do nothing need not look again before. */
export function contentHash(object: KubeObject): string {
  const { metadata, ...rest } = object;
  const { resourceVersion: _version, managedFields = [], ...named } = metadata;
  const owners = managedFields
    .filter(({ subresource }) => subresource !== "status")
    .map(({ manager, operation, fieldsV1 = {} }) => ({ manager, operation, fieldsV1 }));
  const content = { ...rest, status: null, metadata: { ...(named as Record<string, Json>), owners } };
  return sha256Hex(canonicalJson(content));
}
