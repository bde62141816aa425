/** Branded ids of the fleet, made only by the parsers here. */
declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

/** Name of a Cluster: a DNS label, because it becomes a NATS token, a label value, a SPIFFE id and a file name. */
export type ClusterId = Branded<"ClusterId">;
export type EnvironmentName = Branded<"EnvironmentName">;
export type ApplicationName = Branded<"ApplicationName">;
/** Full Git commit id, 40 (SHA-1) or 64 (SHA-256) lower-case hex digits. */
export type Revision = Branded<"Revision">;
/** SHA-256 of a bundle's canonical bytes, 64 lower-case hex digits. */
export type BundleDigest = Branded<"BundleDigest">;
/** SHA-256 of a sealed bundle's ciphertext, 64 lower-case hex digits: its name on the broker. */
export type BlobAddress = Branded<"BlobAddress">;

/** A value that is not what it claims to be. The message names what was expected and what was found. */
export class InvalidId extends Error {
  override readonly name = "InvalidId";
}

// RFC 1123 label: what Kubernetes accepts as a label value and NATS as one token.
const dnsLabel = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const gitId = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;
const sha256 = /^[0-9a-f]{64}$/;

export const clusterId = (value: string): ClusterId => parse(value, dnsLabel, "cluster name", "a DNS label");
export const environmentName = (value: string): EnvironmentName =>
  parse(value, dnsLabel, "environment name", "a DNS label");
export const applicationName = (value: string): ApplicationName =>
  parse(value, dnsLabel, "application name", "a DNS label");
export const revision = (value: string): Revision => parse(value, gitId, "revision", "a full commit id in hex");
export const bundleDigest = (value: string): BundleDigest => parse(value, sha256, "bundle digest", "SHA-256 in hex");
export const blobAddress = (value: string): BlobAddress => parse(value, sha256, "blob address", "SHA-256 in hex");

export const isDnsLabel = (value: string): boolean => dnsLabel.test(value);

function parse<Id extends string>(value: string, pattern: RegExp, what: string, rule: string): Id {
  if (!pattern.test(value)) throw new InvalidId(`${what} must be ${rule}: ${JSON.stringify(value.slice(0, 80))}`);
  return value as Id;
}
