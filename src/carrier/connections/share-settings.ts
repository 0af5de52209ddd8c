// The settings of a carried share, and what its parts work on.

import type { Logger } from "../../runtime/log/log.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { CarriedKind, CarriedMount, CarriedRoute, CarrierNotice, RouteEndpoint } from "../carrier.ts";
import type { ProveServer } from "../smb/server-proof.ts";
import type { SocketOwners } from "../system/socket-owner.ts";
import type { CarriedConnection } from "./carried-connection.ts";
import type { createCutOffSessions } from "./cut-off-sessions.ts";
import type { LogonGate } from "./logon-gate.ts";

export interface ShareSettings {
  readonly share: string;
  readonly kind: CarriedKind;
  readonly port: number;
  route: CarriedRoute;
  /** Includes the route in use. */
  endpoints: Partial<Record<CarriedRoute, RouteEndpoint>>;
  patienceMs: number;
  mount: CarriedMount | null;
  /** The server's, in hex, once it was seen. */
  guid: string | null;
  /** The daemon's name for it. */
  readonly server?: string | null;
  /** The daemon's name for the login; shares of one name log in one after the other. */
  readonly login?: string | null;
  /** Why the server had refused it before this carrier was started; null or absent: it had not. */
  readonly refusedLogon?: string | null;
  confirmed: boolean;
  /** Nothing may be sent to the server. Absent: it may. */
  away?: boolean;
  /** Counts what the carrier did alone. */
  epoch: number;
}

interface ShareEvents {
  /** Emits a notice; returns whether any daemon hears it. */
  notice(what: CarrierNotice["what"]): boolean;
  /** A counter or the number of connections has changed; nothing urgent. */
  counted(): void;
  /** Something that must survive the process has changed. */
  settingsChanged(): void;
  /** The server behind the route in use answers again, and is not confirmed. */
  unconfirmed(guid: string): void;
}

export interface ShareParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly owners: SocketOwners;
  readonly prove: ProveServer;
  /** The user whose clients may connect. */
  readonly uid: number;
  readonly events: ShareEvents;
  /** Of its login. */
  readonly logons: LogonGate;
}

/** A share that is carried now: what its parts work on. */
export interface ShareContext extends ShareParts {
  readonly settings: ShareSettings;
  /** All that are open. */
  readonly connections: Set<CarriedConnection>;
  /** Connections that stay on a route that is no longer in use until they can end unnoticed. */
  readonly retiring: Map<CarriedConnection, CarriedRoute>;
  /** In order of arrival. */
  readonly held: Set<CarriedConnection>;
  readonly joining: Set<CarriedConnection>;
  readonly cutOff: ReturnType<typeof createCutOffSessions>;
  closed: boolean;
}
