// The settings of a carried share, and what its parts work on.

import type { Logger } from "../../runtime/log/log.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { CarriedKind, CarriedMount, CarriedRoute, CarrierNotice, RouteEndpoint } from "../carrier.ts";
import type { ProveServer } from "../smb/server-proof.ts";
import type { SocketOwners } from "../system/socket-owner.ts";
import type { CarriedConnection } from "./carried-connection.ts";
import type { LogonGate } from "./logon-gate.ts";

export interface ShareSettings {
  readonly share: string;
  readonly kind: CarriedKind;
  readonly port: number;
  route: CarriedRoute;
  /** Of the route in use. */
  endpoints: Partial<Record<CarriedRoute, RouteEndpoint>>;
  patienceMs: number;
  mount: CarriedMount | null;
  /** The server's, in hex, once it was seen. */
  guid: string | null;
  /** The daemon's name for it. */
  readonly server?: string | null;
  /** The daemon's name for the login; shares of one name log in one after the other. */
  readonly login?: string | null;
  /** Why the server had refused it when a carrier before this one ended; null or absent: it had not. */
  readonly refusedLogon?: string | null;
  confirmed: boolean;
  /** How many things the carrier did alone. */
  epoch: number;
}

interface ShareEvents {
  /** Whether anybody hears it. */
  notice(what: CarrierNotice["what"]): boolean;
  /** A counter or a number of connections is another; nothing that hurries. */
  counted(): void;
  /** What must survive the process is another. */
  settingsChanged(): void;
  /** The server behind the route in use answers again, and is not confirmed. */
  unconfirmed(guid: string): void;
}

export interface ShareParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly owners: SocketOwners;
  readonly prove: ProveServer;
  /** Whose clients may connect. */
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
  /** What stays on a route that is no longer in use until it can end unnoticed. */
  readonly retiring: Map<CarriedConnection, CarriedRoute>;
  /** In the order in which they came. */
  readonly held: Set<CarriedConnection>;
  readonly joining: Set<CarriedConnection>;
  closed: boolean;
}
