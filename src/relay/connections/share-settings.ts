// The settings of a relayed share, and the context that its parts have in common.
import type { Logger } from "../../runtime/log/log.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { RelayClientKind, RelayedMount, RelayNotice, RelayRoute, RouteEndpoint } from "../relay.ts";
import type { NegotiateServer } from "../smb/negotiate-proof.ts";
import type { SocketOwners } from "../system/socket-owner.ts";
import type { createCutOffSessions } from "./cut-off-sessions.ts";
import type { LoginGate } from "./login-gate.ts";
import type { RelayedConnection } from "./relayed-connection.ts";

export interface ShareSettings {
  readonly share: string;
  readonly kind: RelayClientKind;
  readonly port: number;
  route: RelayRoute;
  /** Includes the route in use. */
  endpoints: Partial<Record<RelayRoute, RouteEndpoint>>;
  patienceMs: number;
  mount: RelayedMount | null;
  /** The ServerGuid in hex; null: no server has answered yet. */
  guid: string | null;
  /** The daemon's name for the mounted server; null or absent: the daemon gave none. */
  readonly server?: string | null;
  /** The daemon's name for the login, which shares may have in common; null or absent: the share has its own login. */
  readonly login?: string | null;
  /** True: the login is a user's, so a session as a guest is refused. */
  readonly wantsUser?: boolean;
  /** Why the server refused the login under a previous relay process; null or absent: no refusal is known. */
  readonly refusedLogon?: string | null;
  confirmed: boolean;
  /** True: nothing may be sent to the server from this network. */
  away?: boolean;
  /** Counts the decisions that the relay has made without a daemon. */
  epoch: number;
}

interface ShareEvents {
  /** Sends a notice; returns whether a daemon receives it. */
  notice(what: RelayNotice["what"]): boolean;
  /** Call when a counter or the number of connections has changed; not urgent. */
  changed(): void;
  settingsChanged(): void;
}

export interface ShareParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly owners: SocketOwners;
  readonly prove: NegotiateServer;
  /** Only clients of this user may connect; to a `cifs` share, also those of root. */
  readonly uid: number;
  readonly events: ShareEvents;
  readonly logins: LoginGate;
}

/** An open share, as all its parts see it. */
export interface ShareContext extends ShareParts {
  readonly settings: ShareSettings;
  /** All open connections, in order of arrival. */
  readonly connections: Set<RelayedConnection>;
  readonly cutOff: ReturnType<typeof createCutOffSessions>;
  closed: boolean;
}
