// The route that is not in use. An open connection over it, the sentinel connection, shows that the proved server is
// still the same.
import { isDeepStrictEqual } from "node:util";
import { openSentinel, type SentinelConnection } from "../../network/probe/sentinel-connection.ts";
import type { RelayRoute, RouteEndpoint } from "../relay.ts";
import type { ShareContext } from "./share-settings.ts";

const ANSWER_WITHIN_MS = 1_000;
/**
 * When another server takes over the address, the sentinel connection to the first one ends within this time, ms.
 */
const ENDS_WITHIN_MS = 300;

export interface Standby {
  readonly route: RelayRoute;
  readonly endpoint: RouteEndpoint;
  /** Id of the sentinel connection, never used again. In messages it is called `witness`. */
  readonly id: number;
  readonly sentinel: Pick<SentinelConnection, "stillThere">;
}

export function createStandbyRoute({ settings, clock, logger, prove, events, cutOff }: ShareContext) {
  let wanted: Pick<Standby, "route" | "endpoint"> | null = null;
  let current: (Standby & { readonly sentinel: SentinelConnection }) | null = null;
  // Starts with the time, so that no other relay process of this share uses the same ids.
  let lastId = clock.wallMs();

  const drop = (): void => {
    wanted = null;
    current?.sentinel[Symbol.dispose]();
    current = null;
  };
  const begin = async (target: Pick<Standby, "route" | "endpoint">): Promise<void> => {
    const { share } = settings;
    const sentinel = await openSentinel({
      clock,
      connect: async (onGone) => {
        const proof = await prove(target.endpoint, ANSWER_WITHIN_MS, onGone);
        return proof.ok && proof.connection !== undefined
          ? { guid: proof.guid, connection: proof.connection }
          : null;
      },
      onGone: () => {
        drop();
        logger.info("the other route must be proved again", { share, route: target.route });
        events.settingsChanged();
      },
    });
    if (wanted !== target) {
      sentinel?.[Symbol.dispose]();
      return;
    }
    if (sentinel === null) {
      wanted = null;
      return;
    }
    lastId += 1;
    current = { ...target, id: lastId, sentinel };
    cutOff.endAt(target.endpoint);
    logger.info("may fail over without the daemon", { share, route: target.route });
    events.settingsChanged();
  };

  return {
    get current(): Standby | null {
      return current;
    },
    /** Call this with the other route's endpoint while the server there is proved, and with undefined otherwise. */
    keep(endpoint: RouteEndpoint | undefined): void {
      const next = endpoint === undefined ? null : { route: otherRoute(settings.route), endpoint };
      if (isDeepStrictEqual(wanted, next)) return;
      drop();
      wanted = next;
      if (next !== null) void begin(next);
    },
    /** Whether the sentinel connection with this id has ended; asks the server, for at most `ENDS_WITHIN_MS`. */
    async hasEnded(id: number): Promise<boolean> {
      if (current?.id === id) await current.sentinel.stillThere(ENDS_WITHIN_MS);
      return current?.id !== id;
    },
    /** Call after a move. Drops the sentinel connection if its route is now in use. */
    moved(): void {
      if (wanted?.route === settings.route) drop();
    },
    drop,
  };
}

export function otherRoute(route: RelayRoute): RelayRoute {
  return route === "tb" ? "fallback" : "tb";
}
