// What a gateway has of its home: what it keeps there, and who else may run on it while another daemon takes over.
import { join } from "node:path";
import { packageVersion } from "../api/version.ts";
import type { ConfigPlace } from "../config/locate.ts";
import type { ConfigSnapshot } from "../config/snapshot.ts";
import { openSessionFile } from "../gateway/front/session/session-file.ts";
import type { Logger } from "../runtime/log/log.ts";
import type { Clock } from "../runtime/time/clock.ts";
import { openHomeWrites } from "./compose/home-writes.ts";
import { loopGuard } from "./compose/loop-guard.ts";
import { signInHome } from "./compose/stored-secrets.ts";
import type { GatewayPart } from "./gateway-part.ts";
import { handedSessions } from "./handover/handed-sessions.ts";
import type { Predecessor } from "./handover/predecessor.ts";

interface GatewayHomeOptions {
  readonly home: string;
  readonly place: ConfigPlace;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly snapshot: ConfigSnapshot;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly redact: (secret: string) => void;
  /** Another daemon that still runs on this home. */
  readonly elsewhere?: Pick<Predecessor, "tell"> | undefined;
}

/** What the gateway gets of its home. */
export function gatewayHome(options: GatewayHomeOptions) {
  const { home, place, environment, snapshot, clock, logger, redact, elsewhere } = options;
  const writes = openHomeWrites({ home, clock, environment, logger });
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
    // Two that did would each take the other's new file for the full one.
    rotates: () => writes.isOurs,
    runsElsewhere: () => isElsewhere,
    ...(elsewhere === undefined ? {} : { passBack: elsewhere.tell }),
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
