// What `init` and `shares add` ask an SMB server before a share is configured. A password is sent only to the
// address for which a person entered it.

import type { ConfigSnapshot } from "../../config/snapshot.ts";
import {
  choice,
  list,
  matching,
  object,
  strictObject,
  type TypeOf,
  text,
  union,
} from "../../runtime/shape.ts";

import type { RouteDevice } from "../contract/contract.ts";

export interface ServerLogin {
  /** A name or an address. */
  readonly host: string;
  readonly port: number;
  readonly username: string;
  /** null: log in as a guest. */
  readonly password: string | null;
}

export const shareNamesShape = union(
  object({ kind: choice("listed"), names: list(text) }),
  /** `refused`: the login is wrong. `failed`: the server could not be asked. `text` is one line for people. */
  object({ kind: choice("refused", "failed"), text }),
);
export type ShareNames = TypeOf<typeof shareNamesShape>;

export const pairVerdictShape = object({
  kind: choice("same", "different", "unproved"),
  /** Why the verdict is not `same`; "" for `same`. */
  text,
});
export type PairVerdict = TypeOf<typeof pairVerdictShape>;

const login = {
  /** A name or an address, with `:port` unless it is 445. */
  host: text,
  username: text,
  /** Required: a guest's session proves nothing about the server. */
  password: matching(/^[^\r\n\0]{1,1024}$/, "a password of one line"),
};
export const shareNamesRequest = strictObject(login);
/** `other` gets the password only after it claims to be the same server. */
export const pairRequest = strictObject({ ...login, share: text, other: text });

/** Methods reject only when the signal aborts, with its reason. */
export interface FirstContact extends AsyncDisposable {
  /** Resolves with the reason why no SMB server answers; null: one answers. */
  greet(server: Pick<ServerLogin, "host" | "port">, signal: AbortSignal): Promise<string | null>;
  /**
   * Sends three Wake-on-LAN packets to the server's remembered hardware address, and waits up to a minute. Resolves with the
   * reason why no SMB server answers; null: one answers.
   */
  wake(server: Pick<ServerLogin, "host" | "port">, signal: AbortSignal): Promise<string | null>;
  /** The link that leads to the server; null: not known. */
  deviceTo(server: Pick<ServerLogin, "host" | "port">, signal: AbortSignal): Promise<RouteDevice | null>;
  canWake(host: string): boolean;
  /** The networks of these hosts, as values for `only_on`; null if they cannot be found out. */
  networksOf(hosts: readonly string[], signal: AbortSignal): Promise<readonly string[] | null>;
  /** Why `other` cannot be the server `first`, from what both answer without a login; null: it may be. */
  whyOther(
    first: Pick<ServerLogin, "host" | "port">,
    other: Pick<ServerLogin, "host" | "port">,
    signal: AbortSignal,
  ): Promise<string | null>;
  shareNames(login: ServerLogin, signal: AbortSignal): Promise<ShareNames>;
  /** Lists the shares of the server that has the configured share `share`. Logs in as that share does. */
  configuredShareNames(snapshot: ConfigSnapshot, share: string, signal: AbortSignal): Promise<ShareNames>;
  /**
   * The names that the server lists, if it denies having the configured share `share`; null: it has it, or could not be
   * asked.
   */
  sharesInstead(
    snapshot: ConfigSnapshot,
    share: string,
    signal: AbortSignal,
  ): Promise<readonly string[] | null>;
  /**
   * Whether `other` is the same server as `share`. `other` gets the login only after it claims to be that
   * server.
   */
  pair(
    share: ServerLogin & { readonly name: string; readonly shareName: string },
    other: Pick<ServerLogin, "host" | "port">,
    signal: AbortSignal,
  ): Promise<PairVerdict>;
}
