// The gateway's files in the home, and how this daemon takes them over from the previous daemon.
import { randomBytes } from "node:crypto";
import type { HomeContext } from "../config/home-context.ts";
import type { ConfigSnapshot } from "../config/snapshot.ts";
import { OtherDaemons } from "../gateway/frontend/session/other-daemons.ts";
import { type HandedSessions, NO_SESSIONS } from "../gateway/frontend/session/session-memory.ts";
import { type ResumingDaemon, SuspendedCalls } from "../gateway/frontend/suspended/suspended-calls.ts";
import { OwnerQuestions } from "../gateway/middleware/owner-questions.ts";
import type { HandleOther, SessionSecret } from "../gateway/serving/gateway-contract.ts";
import type { RuntimeTools } from "../runtime/log/runtime-tools.ts";
import { packageVersion } from "../runtime/version.ts";
import { openHomeWrites } from "./compose/home-writes.ts";
import { loopGuard } from "./compose/loop-guard.ts";
import { listMonitors } from "./compose/monitor-processes.ts";
import { packageFolders } from "./compose/package-folder.ts";
import { signInHome } from "./compose/stored-secrets.ts";
import type { GatewayPart } from "./gateway-part.ts";
import type { Predecessor } from "./handover/predecessor.ts";
import { ownSessions } from "./handover/service-release.ts";
import { homeSessionSecret } from "./session-secret.ts";

export interface GatewayHomeOptions extends RuntimeTools {
  readonly home: string;
  readonly homeContext: HomeContext;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly snapshot: ConfigSnapshot;
  readonly redact: (secret: string) => void;
  /** The daemon that hands over to this one. It may still run backends that cannot run twice. */
  readonly previous?: PreviousDaemon | undefined;
  /** Serves requests at the gateway's address that are not MCP. */
  readonly handleFirst?: HandleOther | undefined;
}

type PreviousDaemon = Omit<Predecessor, "turn" | "failed" | "stopped" | "movedOn" | "taken">;

/** The gateway's options that depend on its home. */
export function gatewayHome(options: GatewayHomeOptions) {
  const { home, homeContext, environment, snapshot, clock, logger, redact, previous } = options;
  const writes = openHomeWrites({ home, clock, environment });
  const others = new OtherDaemons<ResumingDaemon>();
  const suspended = new SuspendedCalls(clock, others);
  const questions = new OwnerQuestions(clock);
  let sessions: HandedSessions = NO_SESSIONS;
  let secret: SessionSecret = { bytes: randomBytes(32), unsavedBecause: null };
  let handedOver = false;
  let isPreviousRunning = previous !== undefined;
  return {
    isHandedOver: () => handedOver,
    writes,
    /** Stops all writing, because the next daemon writes from now on. Resolves when the last write has ended. */
    handOver(): Promise<void> {
      handedOver = true;
      return writes.end();
    },
    // Only the daemon in charge rotates the audit's file: a second one would rotate the file that the first
    // has just begun.
    rotates: () => writes.isOurs,
    suspended,
    questions,
    others,
    sessionSecret: () => secret,
    handedSessions: () => sessions,
    /**
     * To be called when the home is free, before the gateway listens: what continues the sessions of the daemons before this
     * one, and their waiting calls.
     */
    async takeOver(gateway: GatewayPart): Promise<void> {
      const handed = previous?.handed ?? null;
      secret = await homeSessionSecret(home, handed?.secret ?? null);
      sessions = handed?.sessions ?? NO_SESSIONS;
      gateway.handing?.http.store.follow(sessions);
      if (previous === undefined || handed === null) return;
      others.previous = previous.join(ownSessions(gateway, suspended, "previous"));
      suspended.follow(handed.states);
      questions.follow(handed.questions);
    },
    runsInPrevious: () => isPreviousRunning,
    runsOnlyHere({ handing }: GatewayPart): void {
      isPreviousRunning = false;
      handing?.pool.recheckAll();
    },
    clock,
    logger,
    redact,
    programEnvironment: loopGuard(snapshot.path, environment),
    packageFolder: packageFolders(homeContext.userHome, environment),
    homeOf: async (pid: number) =>
      (await listMonitors()).find((monitor) => monitor.pid === pid)?.home ?? null,
    signIn: signInHome({ home, clock, environment }),
    guarded: { homes: [home], configs: [snapshot.path], userHome: homeContext.userHome },
    version: packageVersion(),
    pinStore: writes.pinStore,
    nameStore: writes.nameStore,
    listStore: writes.listStore,
    grantStore: writes.grantStore,
    onRouteOverride: () => writes.recordChange(),
    listens: true,
    handleFirst: options.handleFirst,
  };
}
