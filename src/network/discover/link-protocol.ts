// How one protocol asks a link who serves SMB there, and reads what comes back.

/** What somebody on a link says; nothing of it is true before the address has answered. */
export interface Claim {
  readonly address: string;
  readonly port: number;
  readonly name: string | null;
  readonly host: string | null;
  /** The address itself says so, and nobody else about it. */
  readonly byItself: boolean;
}

export interface LinkProtocol {
  readonly group: string;
  readonly port: number;
  question(): Buffer;
  /** Never throws, whatever is in the message. `ask`: what to ask next, null: nothing. */
  take(message: Buffer, sender: string): { readonly claims: readonly Claim[]; readonly ask: Buffer | null };
}
