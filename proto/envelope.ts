import { createPublicKey, sign, verify, type KeyObject } from "node:crypto";
import { Delegation, Envelope, SignedDelegation } from "#proto/gen/plumbline/state/v1/state.ts";
import { compareOrder, type DesiredState, type Entry, type HealthRule } from "#proto/desired-state.ts";
import type { ClusterId } from "#proto/ids.ts";
import { canonicalJson, sha256Hex } from "#proto/json.ts";
import { byApplication, byName, decodeDesiredState, encodeDesiredState } from "#proto/wire-desired-state.ts";

export const stateType = "application/vnd.plumbline.desired-state.v1+protobuf";
export const delegationType = "application/vnd.plumbline.delegation.v1+protobuf";

/** The hub's online key with the root's word for it. `delegation` is a serialised SignedDelegation. */
export type Signer = {
  readonly privateKey: KeyObject;
  readonly publicKey: Uint8Array;
  readonly delegation: Uint8Array;
};

/** Newest document taken so far; `payloadHash` tells a repetition from an equivocation. */
export type HighWater = { readonly epoch: number; readonly generation: bigint; readonly payloadHash: string };

export type Expected = {
  /** Raw ed25519 root key, pinned at join. */
  readonly rootKey: Uint8Array;
  readonly cluster: ClusterId;
  readonly highWater?: HighWater;
  /** Milliseconds since 1970; only a new document's delegation is held against it. */
  readonly now: number;
  /** Taken before and kept: the dates of its delegation are not judged again. */
  readonly isStored?: boolean;
};

export type Verified = { readonly ok: true; readonly state: DesiredState; readonly highWater: HighWater };

/** Why a document was not taken. The last good one stays. */
export type Refusal = { readonly ok: false; readonly reason: RefusalReason; readonly detail: string };
export type RefusalReason =
  /** Not an envelope, or its payload is not a desired state. */
  | "Malformed"
  /** No signature by the delegated key, or no delegation by the pinned root, fits. */
  | "BadSignature"
  /** The delegation is not valid yet, or no more. */
  | "NotDelegated"
  /** Another cluster's document. */
  | "WrongCluster"
  /** Older than one already taken. */
  | "Passed"
  /** The order of one already taken, with other content: the hub's key signed two truths. */
  | "Equivocation";

/** The root's signed word that `hubKey` may sign documents of `epoch` between the two times. */
export function delegate(
  root: KeyObject,
  grant: { hubKey: Uint8Array; epoch: number; notBeforeMs: number; notAfterMs: number },
): Uint8Array {
  const payload = Delegation.encode({
    hubKey: Buffer.from(grant.hubKey),
    epoch: grant.epoch,
    notBeforeMs: BigInt(grant.notBeforeMs),
    notAfterMs: BigInt(grant.notAfterMs),
  }).finish();
  const signature = sign(null, paeOf(delegationType, payload), root);
  return SignedDelegation.encode({
    payloadType: delegationType,
    payload: Buffer.from(payload),
    signature: { keyId: keyIdOf(rawPublicKey(root)), signature },
  }).finish();
}

export function signDesiredState(state: DesiredState, signer: Signer): Uint8Array {
  const payload = encodeDesiredState(state);
  return Envelope.encode({
    payloadType: stateType,
    payload: Buffer.from(payload),
    signatures: [
      { keyId: keyIdOf(signer.publicKey), signature: sign(null, paeOf(stateType, payload), signer.privateKey) },
    ],
    delegation: SignedDelegation.decode(signer.delegation),
  }).finish();
}

/** Root → delegation → document, then cluster and order. Bytes are verified before they are parsed. */
export function verifyDesiredState(bytes: Uint8Array, expected: Expected): Verified | Refusal {
  const envelope = parse(() => Envelope.decode(bytes));
  if (envelope === undefined || envelope.payloadType !== stateType || envelope.delegation === undefined)
    return refusal("Malformed", "the bytes are not a signed desired state");
  const granted = verifyDelegation(envelope.delegation, expected.rootKey);
  if (granted === undefined) return refusal("BadSignature", "the delegation is not signed by the pinned root");
  const signed = paeOf(stateType, envelope.payload);
  if (!envelope.signatures.some(({ signature }) => verify(null, signed, granted.hubKey, signature)))
    return refusal("BadSignature", "no signature is by the delegated key");
  const state = parse(() => decodeDesiredState(envelope.payload));
  if (state === undefined) return refusal("Malformed", "the signed payload is not a desired state");
  return judge(state, granted.delegation, sha256Hex(envelope.payload), expected);
}

function judge(state: DesiredState, granted: Delegation, payloadHash: string, expected: Expected): Verified | Refusal {
  if (state.cluster !== expected.cluster) return refusal("WrongCluster", `the document is for ${state.cluster}`);
  if (state.epoch !== granted.epoch)
    return refusal("NotDelegated", `epoch ${state.epoch} was signed with a key of epoch ${granted.epoch}`);
  const highWater = { epoch: state.epoch, generation: state.generation, payloadHash };
  const order = expected.highWater === undefined ? 1 : compareOrder(highWater, expected.highWater);
  if (order < 0) return refusal("Passed", `generation ${state.generation} was passed already`);
  if (order === 0)
    return payloadHash === expected.highWater?.payloadHash
      ? { ok: true, state, highWater }
      : refusal("Equivocation", `generation ${state.generation} came with other content before`);
  // Only here: an agent that was away for a year keeps the document it has, whatever became of the key.
  if (expected.isStored === true) return { ok: true, state, highWater };
  if (expected.now < Number(granted.notBeforeMs)) return refusal("NotDelegated", "the hub's key is not valid yet");
  if (expected.now > Number(granted.notAfterMs)) return refusal("NotDelegated", "the hub's key has expired");
  return { ok: true, state, highWater };
}

/**
 * Hash of what a document means to a cluster: kind, digest, delivery and mode of its entries, and the fleet's rules of
 * health. Not sealed keys, address or slices: a new compressor must not republish a fleet. Equal hash, nothing to publish.
 */
export function semanticHash(entries: readonly Entry[], healthRules: readonly HealthRule[] = []): string {
  const meaning = [...entries].sort(byApplication).map(meaningOf);
  // Without rules it is the hash of documents that had none yet: a new hub republishes no fleet.
  if (healthRules.length === 0) return sha256Hex(canonicalJson(meaning));
  return sha256Hex(canonicalJson({ entries: meaning, healthRules: [...healthRules].sort(byName) }));
}

function meaningOf(entry: Entry): unknown {
  const key = { application: entry.application, environment: entry.environment, kind: entry.kind };
  if (entry.kind === "run") return { ...key, digest: entry.digest, delivery: entry.delivery };
  return entry.kind === "remove" ? { ...key, mode: entry.mode } : key;
}

/** DSSE v1.0.2 pre-authentication encoding. */
function paeOf(type: string, payload: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`DSSEv1 ${Buffer.byteLength(type)} ${type} ${payload.length} `), payload]);
}

type Granted = { readonly delegation: Delegation; readonly hubKey: KeyObject };

/** The delegation that was verified last: all documents of a fleet carry the same, byte for byte. */
let verified: { readonly bytes: Buffer; readonly granted: Granted } | undefined;

function verifyDelegation(signed: SignedDelegation, rootKey: Uint8Array): Granted | undefined {
  if (signed.payloadType !== delegationType || signed.signature === undefined) return undefined;
  const { signature } = signed.signature;
  // Of fixed lengths, both: no two of the three can be cut otherwise.
  if (rootKey.length !== 32 || signature.length !== 64) return undefined;
  const bytes = Buffer.concat([rootKey, signature, signed.payload]);
  if (verified?.bytes.equals(bytes) === true) return verified.granted;
  if (!verify(null, paeOf(delegationType, signed.payload), publicKeyOf(rootKey), signature)) return undefined;
  const delegation = parse(() => Delegation.decode(signed.payload));
  if (delegation?.hubKey.length !== 32) return undefined;
  verified = { bytes, granted: { delegation, hubKey: publicKeyOf(delegation.hubKey) } };
  return verified.granted;
}

/** A raw ed25519 public key, 32 bytes, as a key that node:crypto verifies with. */
export const publicKeyOf = (raw: Uint8Array): KeyObject =>
  createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: Buffer.from(raw).toString("base64url") }, format: "jwk" });

/** The raw 32 bytes of the public half of an ed25519 key. */
export function rawPublicKey(key: KeyObject): Buffer {
  const publicKey = key.type === "private" ? createPublicKey(key) : key;
  return Buffer.from(publicKey.export({ format: "jwk" }).x ?? "", "base64url");
}

const keyIdOf = (publicKey: Uint8Array): string => sha256Hex(publicKey).slice(0, 16);

const refusal = (reason: RefusalReason, detail: string): Refusal => ({ ok: false, reason, detail });

// Every parser here throws on bytes it cannot read; which of them did is of no use to the reader of a refusal.
function parse<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
