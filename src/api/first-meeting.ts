// What `init` and `shares add` ask of a server that no share is configured for yet. A password goes to the address that it
// is given with, and nowhere else.

import type { ConfigSnapshot } from "../config/snapshot.ts";
import { choice, list, matching, object, strictObject, type TypeOf, text, union } from "../runtime/shape.ts";

export interface ServerLogin {
  /** A name or an address. */
  readonly host: string;
  readonly port: number;
  readonly username: string;
  /** null: as a guest. */
  readonly password: string | null;
}

export const shareNamesShape = union(
  object({ kind: choice("listed"), names: list(text) }),
  /** `refused`: the login is wrong. `failed`: it could not be asked. `text` is one line for people. */
  object({ kind: choice("refused", "failed"), text }),
);
export type ShareNames = TypeOf<typeof shareNamesShape>;

export const pairVerdictShape = object({
  kind: choice("same", "different", "unproved"),
  /** Why, but for `same`. */
  text,
});
export type PairVerdict = TypeOf<typeof pairVerdictShape>;

const login = {
  /** A name or an address, with `:port` unless it is 445. */
  host: text,
  username: text,
  /** A guest's session is nobody's proof: there is always one. */
  password: matching(/^[^\r\n\0]{1,1024}$/, "a password of one line"),
};
/** The password goes to that address alone. */
export const shareNamesRequest = strictObject(login);
/** `other` gets it once it says that it is the same server. */
export const pairRequest = strictObject({ ...login, share: text, other: text });

/** Rejects with the signal's reason alone. */
export interface FirstMeeting extends AsyncDisposable {
  /** Resolves with why no SMB server answers there; null: one does. */
  greet(server: Pick<ServerLogin, "host" | "port">, signal: AbortSignal): Promise<string | null>;
  /**
   * Sends three packets to the hardware address under which this machine has met it, and waits a minute. Resolves with why
   * no SMB server answers; null: one does.
   */
  wake(server: Pick<ServerLogin, "host" | "port">, signal: AbortSignal): Promise<string | null>;
  canWake(host: string): boolean;
  /** The networks that these hosts are on, as `only_on` has them; null: that cannot be learnt. */
  networksOf(hosts: readonly string[], signal: AbortSignal): Promise<readonly string[] | null>;
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
