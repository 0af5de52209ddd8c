// Mounts that move to another route beneath the programs that use them: what the program that serves such a mount reports, and
// what it is sent. Times are monotonic ms of this process.
import type { Endpoints } from "../program/arguments.ts";
import type { SignIn } from "../program/sign-in.ts";
import type { RouteName } from "../share-spec.ts";

/**
 * - `unheard`: the program has not reported yet.
 * - `serving`: programs are served, maybe by a slow server.
 * - `waiting`: no route leads to the server, and programs wait. `over`: they have waited for the patience, and get errors.
 * - `refused`: the server refuses the login. `away`: no route is allowed.
 */
export type PhaseName = "unheard" | "serving" | "waiting" | "over" | "refused" | "away";

export interface MountPhase {
  readonly is: PhaseName;
  /** Of `waiting` and `over`: `no_answer`, `other_server`, `no_places`, `network`; null in other phases. */
  readonly why: string | null;
  readonly text: string | null;
}

/** A change of the route. */
export interface MoveRecord {
  /** Wall ms. */
  readonly at: number;
  readonly from: RouteName | null;
  readonly to: RouteName;
  /** `asked`, `link_down`, `ended`, `silent`, `blocked`, `not_allowed`, `returned`. */
  readonly reason: string;
  /** A daemon asked for it. */
  readonly isRequested: boolean;
  /** No request was interrupted. */
  readonly quiet: boolean;
  readonly tookMs: number;
}

export interface MountReport {
  readonly phase: MountPhase;
  /** The route in use; while there is none, the last one. null: none yet. */
  readonly route: RouteName | null;
  /**
   * The address in use; null: none yet. `isFormer`: it is no longer the address of a route. `uncertain`: why connections may
   * leave by another interface than the route's; empty: nothing suggests it.
   */
  readonly endpoint: {
    readonly address: string;
    readonly isFormer: boolean;
    readonly uncertain: string;
  } | null;
  readonly allowed: readonly RouteName[];
  /** The program starts no connection until it gets the allowed routes: the network has changed. */
  readonly awaitsAllow: boolean;
  /** When the server's newest answer came; null: none yet. */
  readonly heardAtMs: number | null;
  /** Since when the oldest request of a program waits; null: none waits. */
  readonly waitingSinceMs: number | null;
  readonly longestWaitMs: number;
  /** When a program last asked for something while there was no route; null: none has. */
  readonly requestedAtMs: number | null;
  /** How often the route has changed, and the last change. */
  readonly moves: { readonly count: number; readonly last: MoveRecord | null };
  /** The number of waits of 1 s or more, since the mount was first made. */
  readonly pauses: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly connections: number;
  readonly connectionsInAll: number;
  readonly openFiles: number;
  /** How many connections the server takes; null: it has refused none. */
  readonly mostConnections: number | null;
  /** The server refused the last login. `atMs`: wall ms. */
  readonly refused: { readonly text: string; readonly atMs: number } | null;
  /** A server that is not the mounted one answers over `route`. */
  readonly other: {
    readonly route: RouteName;
    readonly address: string;
    readonly guid: string;
    readonly text: string;
  } | null;
  /** The share has no entry by which its server can be recognized. */
  readonly isEmpty: boolean;
  /** Folders whose changes by other machines programs want to hear, and cannot; null: they hear all. */
  readonly unheard: { readonly folders: readonly string[]; readonly missing: string } | null;
  /** Locks that programs may have lost in the last hour. `program`: its name; empty if unknown. */
  readonly lostLocks: readonly { readonly path: string; readonly program: string }[];
  /** Since when the program leaves a request of ours without an answer; null: it answers. */
  readonly silentSinceMs: number | null;
}

/** What a program should know of its routes now. */
export interface MountSettings {
  readonly configured: readonly RouteName[];
  /** The routes with a known address. */
  readonly endpoints: Endpoints;
  /** Empty: this machine is on another network, and programs get errors at once. */
  readonly allowed: readonly RouteName[];
  readonly patienceMs: number;
  /** null: the program gets no password now, because nothing may be sent to the hosts. */
  readonly signIn: SignIn | null;
  /** Routes whose link is down. */
  readonly down: readonly RouteName[];
  /** Routes that have answered the newest probe. */
  readonly answering: readonly RouteName[];
}

export type MoveOutcome =
  /** `quiet`: no request was cut off. */
  | { readonly ok: true; readonly quiet: boolean; readonly connections: number }
  /** The move failed, and the mount stays where it is. */
  | { readonly ok: false; readonly text: string };

/** No method rejects; each has a deadline. */
export interface MovingMounts {
  /** The newest report of the program that serves the share's mount; null: none is known. */
  of(share: string): MountReport | null;
  /** Asks for a report, and resolves once it is there, or after 200 ms. */
  refresh(share: string): Promise<void>;
  /** Moves the mount in a quiet moment. `afterMove`: the number of moves in the report on which this was decided. */
  move(share: string, to: RouteName, afterMove: number, signal: AbortSignal): Promise<MoveOutcome>;
  /** Tells the program what has changed of this. */
  update(share: string, settings: MountSettings): void;
  /** Tells the program of a mount that stays on its route the password, which it tries at once if it is another one. */
  setPassword(share: string, signIn: SignIn | null): void;
  /** Makes the program log in once, whatever was refused before. */
  logIn(share: string, signIn: SignIn): Promise<void>;
  /** Lets the server in that `other` of the report shows. */
  letIn(
    share: string,
    guid: string,
  ): Promise<{ readonly ok: true } | { readonly ok: false; readonly text: string }>;
  /** Calls the listener when a report differs in more than counters. Returns a function that unregisters it. */
  onReport(listener: (share: string) => void): () => void;
}

/** The report of a program that has not reported yet. */
export const UNHEARD: MountReport = {
  phase: { is: "unheard", why: null, text: null },
  route: null,
  endpoint: null,
  allowed: [],
  awaitsAllow: false,
  heardAtMs: null,
  waitingSinceMs: null,
  longestWaitMs: 0,
  requestedAtMs: null,
  moves: { count: 0, last: null },
  pauses: 0,
  bytesUp: 0,
  bytesDown: 0,
  connections: 0,
  connectionsInAll: 0,
  openFiles: 0,
  mostConnections: null,
  refused: null,
  other: null,
  isEmpty: false,
  unheard: null,
  lostLocks: [],
  silentSinceMs: null,
};
