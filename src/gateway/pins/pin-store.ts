// Where pins are kept: a value that is authentic when it is read again, or is not trusted.

export type KeptPins =
  /** This home never had any. */
  | { readonly kind: "none" }
  | { readonly kind: "kept"; readonly value: unknown }
  /** Missing although there were some, changed by somebody else, or unreadable; `claimed`: what stands there, whoever wrote it. */
  | { readonly kind: "untrusted"; readonly reason: string; readonly claimed?: unknown }
  /** Whether they can be trusted cannot be told now; to be read again later, and not written until then. */
  | { readonly kind: "unanswered"; readonly reason: string; readonly claimed?: unknown };

export interface PinStore {
  /** False while another process writes: what is learned then is neither told nor kept. Absent: it is ours alone. */
  readonly isOurs?: boolean;
  /** Never rejects. */
  read(): Promise<KeptPins>;
  /** `value` is plain JSON. Durable when it resolves; rejects where it is not. */
  write(value: unknown): Promise<void>;
}

/** Remembers nothing beyond this process. */
export const NO_PIN_STORE: PinStore = {
  read: async () => ({ kind: "none" }),
  async write() {},
};
