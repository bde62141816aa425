/** `conditions` of a part of the object speak of an earlier generation. */
export const isStale = (conditions: string): string =>
  `${conditions}.exists(c, c.?observedGeneration.orValue(object.metadata.generation) < object.metadata.generation)`;
