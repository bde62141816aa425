import { sha256Hex } from "./json.ts";

/** "sha256:<hex>" of a root key or a CA certificate, as it stands in join lines. */
export const fingerprintOf = (bytes: Uint8Array): string => `sha256:${sha256Hex(bytes)}`;
