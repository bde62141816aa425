/** A number and what it counts: `1 cluster`, `2 clusters`. */
export const counted = (n: number, what: string): string => `${n} ${what}${n === 1 ? "" : "s"}`;
