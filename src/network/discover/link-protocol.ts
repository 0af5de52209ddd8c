// A protocol that queries a link for SMB servers and reads the answers.

/** What a message says about an SMB server. Not trusted: a probe of the address has to confirm it. */
export interface Claim {
  readonly address: string;
  readonly port: number;
  readonly name: string | null;
  readonly host: string | null;
  /** True if `address` itself sent the message. */
  readonly byItself: boolean;
}

export interface LinkProtocol {
  readonly group: string;
  readonly port: number;
  question(): Buffer;
  /** Never throws, whatever is in the message. `question`: the next query; null: none. */
  take(
    message: Buffer,
    sender: string,
  ): { readonly claims: readonly Claim[]; readonly question: Buffer | null };
}
