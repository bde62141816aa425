/** What a signature is worth to these signers. */
export type Verdict =
  | { readonly kind: "signed"; /** The Signer's name. */ readonly by: string; readonly key: string }
  /** The end of a sentence that begins with what was looked at. */
  | { readonly kind: "refused"; readonly because: string };
