// A gateway's part of the home: the files it keeps there, and who else may use them while another daemon takes over.
import { join } from "node:path";
import { packageVersion } from "../api/version.ts";
import type { ConfigPlace } from "../config/locate.ts";
import type { ConfigSnapshot } from "../config/snapshot.ts";
import { Holds, type HoldsElsewhere } from "../gateway/front/holds/holds.ts";
import { openSessionFile } from "../gateway/front/session/session-file.ts";
import type { Logger } from "../runtime/log/log.ts";
import type { Clock } from "../runtime/time/clock.ts";
import { openHomeWrites } from "./compose/home-writes.ts";
import { loopGuard } from "./compose/loop-guard.ts";
import { signInHome } from "./compose/stored-secrets.ts";
import type { GatewayPart } from "./gateway-part.ts";
import { handedSessions } from "./handover/handed-sessions.ts";

interface GatewayHomeOptions {
  readonly home: string;
  readonly place: ConfigPlace;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly snapshot: ConfigSnapshot;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly redact: (secret: string) => void;
  readonly elsewhere?: OtherDaemon | undefined;
}

/** Another daemon that still runs on this home, and hands over to this one. */
export interface OtherDaemon {
  readonly ended: Promise<void>;
  /** Known when the home is free. */
  readonly stateKey: string | null;
  readonly holds: HoldsElsewhere;
}

/** What the gateway gets of its home. */
export function gatewayHome(options: GatewayHomeOptions) {
  const { home, place, environment, snapshot, clock, logger, redact, elsewhere } = options;
  const writes = openHomeWrites({ home, clock, environment, logger });
  const holds = new Holds(clock);
  let handedOver = false;
  let isElsewhere = elsewhere !== undefined;
  return {
    isHandedOver: () => handedOver,
    writes,
    /** What is written from now on another daemon writes; resolves when nothing is written here. */
    handOver(): Promise<void> {
      handedOver = true;
      return writes.end();
    },
    holds,
    /** The home is free: clients come with states of the other one, and some of their calls are still there. */
    takeOver(): void {
      if (elsewhere === undefined) return;
      if (elsewhere.stateKey !== null) holds.takeKey(elsewhere.stateKey);
      holds.passTo(elsewhere.holds);
    },
    runsElsewhere: () => isElsewhere,
    runsOnlyHere({ handing }: GatewayPart): void {
      isElsewhere = false;
      handing?.lookAgain();
    },
    clock,
    logger,
    redact,
    programEnvironment: loopGuard(snapshot.path, environment),
    signIn: signInHome({ home, clock, environment }),
    guarded: { homes: [home], configs: [snapshot.path], userHome: place.userHome },
    version: packageVersion(),
    pinStore: writes.pinStore,
    heldRoutes: writes.heldRoutes,
    sessions: handedSessions(openSessionFile({ path: join(home, "sessions.jsonl"), clock, logger })),
    listens: true,
  };
}
