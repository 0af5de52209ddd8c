// A protocol that queries a link for SMB servers and reads the answers.

/** An untrusted statement about an SMB server, to be proved by probing its address. */
export interface Claim {
  readonly address: string;
  readonly port: number;
  readonly name: string | null;
  readonly host: string | null;
  /** True if the claimed address itself is the sender. */
  readonly byItself: boolean;
}

export interface LinkProtocol {
  readonly group: string;
  readonly port: number;
  question(): Buffer;
  /** Never throws, whatever is in the message. `ask`: the next query; null: none. */
  take(message: Buffer, sender: string): { readonly claims: readonly Claim[]; readonly ask: Buffer | null };
}
