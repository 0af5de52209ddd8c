// The interface of whoever changes the configuration file for a command: a change is made whole or not at all.
import type { EditReport } from "../../api/contract.ts";
import type { ConfigEditWire } from "../../api/requests.ts";

export interface KeyEdit {
  readonly key: string;
  /** As it was typed; null unsets the key. */
  readonly value: string | null;
}

/** SHA-256 of what a person was shown before saying yes. */
export interface SeenRollback {
  readonly entry: string;
  readonly file: string;
}

/** What is rejected as a value is in the report; each also rejects with `config_unwritable` and the like. */
export interface ConfigEditor {
  edit(edits: readonly ConfigEditWire[]): Promise<EditReport>;
  /** Rejects with `config_changed` when the file is not the one with this hash any more. */
  replace(text: string, seenSha256: string): Promise<EditReport>;
  /**
   * Rejects with `history_unknown`, and with `config_changed` when the entry or the file is not the one that was seen
   * (null: neither was).
   */
  rollback(n: number, seen: SeenRollback | null): Promise<EditReport>;
}
