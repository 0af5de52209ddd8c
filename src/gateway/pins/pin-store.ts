// Where pins are kept: text that is authentic when it is read again, or is not trusted.

export type KeptPins =
  /** This home never had any. */
  | { readonly kind: "none" }
  | { readonly kind: "kept"; readonly text: string }
  /** Missing although there were some, changed by somebody else, or unreadable. */
  | { readonly kind: "untrusted"; readonly reason: string };

export interface PinStore {
  /** Never rejects. */
  read(): Promise<KeptPins>;
  /** Durable when it resolves. Rejects with the system's error. */
  write(text: string): Promise<void>;
}

/** Remembers nothing beyond this process. */
export const NO_PIN_STORE: PinStore = {
  read: async () => ({ kind: "none" }),
  async write() {},
};
