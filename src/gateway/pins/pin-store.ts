// The storage of pins: a value that is either authentic when it is read, or reported as untrusted.

export type KeptPins =
  /** Nothing was ever stored in this home. */
  | { readonly kind: "none" }
  | { readonly kind: "kept"; readonly value: unknown }
  /** Lost, changed by another program, or unreadable; `claimed`: the stored value, whoever wrote it. */
  | { readonly kind: "untrusted"; readonly reason: string; readonly claimed?: unknown }
  /** The value cannot be verified now: read again later, and do not write until then. */
  | { readonly kind: "unanswered"; readonly reason: string; readonly claimed?: unknown };

export interface PinStore {
  /** False while another process writes: changes are then neither announced nor stored. Absent: always true. */
  readonly isOurs?: boolean;
  /** Never rejects. */
  read(): Promise<KeptPins>;
  /** `value` is plain JSON. Resolves once the value is durable. */
  write(value: unknown): Promise<void>;
}

/** Stores nothing. */
export const NO_PIN_STORE: PinStore = {
  read: async () => ({ kind: "none" }),
  async write() {},
};
