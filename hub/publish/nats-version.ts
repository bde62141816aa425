/** Older servers lack fenced batches, or carry known flaws that an unauthenticated client can use. */
export const oldestNats = "2.12.15";

/** A nats-server that is too old, or does not say what it is. */
export class NatsTooOld extends Error {
  override readonly name = "NatsTooOld";
}

/** Throws NatsTooOld unless `version` ("v2.15.2", "nats-server: v2.15.2") is `oldestNats` or newer. */
export function requireNatsVersion(version: string): void {
  const found = numbersOf(version);
  const oldest = numbersOf(oldestNats)!;
  const differs = oldest.findIndex((number, index) => number !== found?.[index]);
  if (found !== undefined && (differs === -1 || found[differs]! > oldest[differs]!)) return;
  throw new NatsTooOld(`nats-server ${version.trim()} cannot be used: Plumbline needs ${oldestNats} or newer`);
}

function numbersOf(version: string): number[] | undefined {
  return /(\d+)\.(\d+)\.(\d+)/.exec(version)?.slice(1).map(Number);
}
