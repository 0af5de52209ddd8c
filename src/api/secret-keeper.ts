// The interface behind `mountaineer secret`: lists, keeps and removes this home's secrets.

export type SecretPlaceName = "file" | "secret-service" | "keychain";

interface SecretListing {
  readonly name: string;
  /** null: the configuration refers to it, and it is not kept. */
  readonly kept: SecretPlaceName | null;
  /** What of the configuration refers to it: "share CORE". */
  readonly used_by: readonly string[];
}

export interface SecretListReport {
  /** By name. */
  readonly secrets: readonly SecretListing[];
  /** Why `used_by` may lack something: the configuration cannot be read. */
  readonly config_error: string | null;
}

interface SecretChange {
  readonly name: string;
  readonly kept: SecretPlaceName;
}

/** Rejects with `secret_unavailable`, `home_unwritable` and the signal's reason. */
export interface SecretKeeper {
  list(): Promise<SecretListReport>;
  set(
    name: string,
    value: string,
    place: "file" | "keyring" | null,
    signal: AbortSignal,
  ): Promise<SecretChange>;
  /** Rejects with `secret_unknown`. */
  remove(name: string, signal: AbortSignal): Promise<SecretChange>;
}
