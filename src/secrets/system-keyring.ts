// The interface of a system's keyring; each `keyring-OS.ts` implements it.
import type { Clock } from "../runtime/time/clock.ts";

export type KeyringKind = "secret-service" | "keychain";

export interface KeyringOptions {
  /** Tells this home's secrets from another home's of the same name. */
  readonly home: string;
  readonly clock: Clock;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** How long a call may take, and what ends it sooner. */
export interface KeyringLimits {
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** Values travel over pipes, never in arguments. What fails rejects with `secret_unavailable`, or `aborted`. */
export interface Keyring {
  readonly kind: KeyringKind;
  /** Why it cannot be used on this machine; null when it can. Never rejects but for `aborted`. */
  unusableBecause(limits: KeyringLimits): Promise<string | null>;
  /** null: it keeps none of that name. */
  get(name: string, limits: KeyringLimits): Promise<string | null>;
  set(name: string, value: string, limits: KeyringLimits): Promise<void>;
  /** False: there was none. */
  remove(name: string, limits: KeyringLimits): Promise<boolean>;
}
