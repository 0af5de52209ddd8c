// Where pins are stored. A value that was not written by us is reported as untrusted.

export type StoredPins =
  | { readonly kind: "none" }
  | { readonly kind: "stored"; readonly value: unknown }
  /** Lost, or changed by another program. `claimed`: the stored value, by an unknown writer. */
  | { readonly kind: "untrusted"; readonly reason: string; readonly claimed?: unknown }
  /** The value cannot be verified now: read it again later, and do not write until then. */
  | { readonly kind: "unanswered"; readonly reason: string; readonly claimed?: unknown };

export interface PinStore {
  /** False while another process writes: changes are then neither announced nor stored. Absent: true. */
  readonly isOurs?: boolean;
  /** Never rejects. */
  read(): Promise<StoredPins>;
  /** Resolves when the value is on disk. */
  write(value: unknown): Promise<void>;
}

export const NO_PIN_STORE: PinStore = {
  read: async () => ({ kind: "none" }),
  async write() {},
};
