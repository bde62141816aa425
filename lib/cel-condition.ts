/** `condition(object, "Ready")`: its status; empty when it is missing, or speaks of an earlier generation. */
export const conditionStatus = (object: unknown, type: unknown): string => fieldOf(conditionOf(object, type), "status");

/** `reason(object, "Ready")`: its reason; empty when there is none. */
export const conditionReason = (object: unknown, type: unknown): string => fieldOf(conditionOf(object, type), "reason");

/** In `status.conditions`, or in `conditions` of a part of a status. */
function conditionOf(object: unknown, type: unknown): unknown {
  const conditions = get(object, "conditions") ?? get(get(object, "status"), "conditions");
  const found = Array.isArray(conditions) ? conditions.find((condition) => get(condition, "type") === type) : undefined;
  const generation = get(get(object, "metadata"), "generation");
  const observed = get(found, "observedGeneration");
  const isStale = typeof generation === "bigint" && typeof observed === "bigint" && observed < generation;
  return isStale ? undefined : found;
}

const get = (value: unknown, key: string): unknown => (value instanceof Map ? value.get(key) : undefined);

function fieldOf(value: unknown, key: string): string {
  const field = get(value, key);
  return typeof field === "string" ? field : "";
}
