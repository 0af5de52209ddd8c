// What `init` and `shares add` ask of a server that no share is configured for yet. A password goes to the address that it
// is given with, and nowhere else.

import type { ConfigSnapshot } from "../config/snapshot.ts";

export interface ServerLogin {
  /** A name or an address. */
  readonly host: string;
  readonly port: number;
  readonly username: string;
  /** null: as a guest. */
  readonly password: string | null;
}

export type ShareNames =
  | { readonly kind: "listed"; readonly names: readonly string[] }
  /** `refused`: the login is wrong. `failed`: it could not be asked. `text` is one line for people. */
  | { readonly kind: "refused" | "failed"; readonly text: string };

export interface PairVerdict {
  readonly kind: "same" | "different" | "unproved";
  /** Why, but for `same`. */
  readonly text: string;
}

/** Rejects with the signal's reason alone. */
export interface FirstMeeting extends AsyncDisposable {
  /** Resolves with why no SMB server answers there; null: one does. */
  greet(server: Pick<ServerLogin, "host" | "port">, signal: AbortSignal): Promise<string | null>;
  shareNames(login: ServerLogin, signal: AbortSignal): Promise<ShareNames>;
  /** Of the server of a configured share, with its login. */
  configuredShareNames(snapshot: ConfigSnapshot, share: string, signal: AbortSignal): Promise<ShareNames>;
  /** Whether `other` leads to the server of the login: it gets that only if it says to be the same one. */
  pair(
    share: ServerLogin & { readonly name: string; readonly shareName: string },
    other: Pick<ServerLogin, "host" | "port">,
    signal: AbortSignal,
  ): Promise<PairVerdict>;
}
