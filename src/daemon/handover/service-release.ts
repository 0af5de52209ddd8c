// What the service gives up in a handover, and how it ends after that: it serves its requests in flight to
// the end.
import type { MountaineerConfig } from "../../config/snapshot.ts";
import type { OtherDaemons, Side } from "../../gateway/frontend/session/other-daemons.ts";
import { NO_SESSIONS } from "../../gateway/frontend/session/session-memory.ts";
import type { ResumingDaemon, SuspendedCalls } from "../../gateway/frontend/suspended/suspended-calls.ts";
import type { OwnerQuestions } from "../../gateway/middleware/owner-questions.ts";
import type { Gateway } from "../../gateway/serving/gateway.ts";
import type {
  GatewayView,
  InheritedListener,
  SessionSecret,
} from "../../gateway/serving/gateway-contract.ts";
import { groupsGone } from "../../runtime/process/process-identity.ts";
import { type Clock, settlesWithin } from "../../runtime/time/clock.ts";
import type { ConfigWatcher } from "../../sync/config-watcher.ts";
import type { Go } from "./handover-messages.ts";
import type { OwnSessions } from "./peer-daemon.ts";
import type { Successor } from "./successor.ts";

/**
 * Time for a running step of the share engine to finish, ms. After that it is aborted, and the next daemon
 * starts from the actual state.
 */
const STEP_DEADLINE_MS = 15_000;
const DEFAULT_DRAIN_MS = 30_000;
/** Longest wait for tool pins to be saved, ms: the keyring may not answer. */
const SAVE_MS = 2_000;
/** Longest wait for the last messages to reach the successor, ms. */
const LAST_MESSAGES_MS = 2_000;

export type ServiceRelease = ReturnType<typeof createServiceRelease>;

export type HandingGateway = Pick<
  Gateway,
  "save" | "takeHome" | "leave" | "view" | "http" | "listener" | "pool"
>;

interface HandingParts {
  readonly clock: Clock;
  readonly memory: { flush(): Promise<unknown>; readonly saveError: Error | null };
  readonly force: AbortController;
  readonly triggers: { stop(): void };
  readonly required: { rest(): void };
  readonly config: AsyncDisposable & {
    readonly watcher: Pick<
      ConfigWatcher<{ readonly config: Pick<MountaineerConfig, "server" | "backends"> }>,
      "running"
    >;
  };
  readonly parts: AsyncDisposable;
  readonly fleet: { handOver(): void };
  readonly gateway: { readonly handing: HandingGateway | null };
  /** The daemon before this one. */
  readonly previous?:
    | { readonly gone: Promise<void>; readonly ended: Promise<void>; readonly once: readonly number[] }
    | undefined;
  readonly gatewayOwn: {
    handOver(): Promise<void>;
    readonly writes: { readonly changes: number };
    readonly sessionSecret: () => SessionSecret;
    readonly suspended: SuspendedCalls;
    readonly questions: OwnerQuestions;
    readonly others: OtherDaemons<ResumingDaemon>;
  };
}

export function createServiceRelease(service: HandingParts) {
  const { clock, config, gateway, gatewayOwn, previous } = service;
  const runOnce = (): readonly number[] => [
    ...(gateway.handing?.pool.runOncePids ?? []),
    ...(previous?.once ?? []),
  ];
  const running = () => config.watcher.running.snapshot.config;
  return {
    /**
     * Names of the backends that serve here and that a successor must also serve before it may take over.
     * Backends that cannot run twice are left out.
     */
    mustServe(): readonly string[] {
      const view = gateway.handing?.view() ?? null;
      const unshared = new Set(
        running()
          .backends.filter(({ replace, requires }) => replace === "stop-first" || requires.length > 0)
          .map(({ name }) => name),
      );
      return view === null ? [] : serving(view).filter((name) => !unshared.has(name));
    },
    /** Ends the share engine's steps and saves everything. Never rejects. */
    async giveUp(): Promise<void> {
      using _ = clock.setTimer(STEP_DEADLINE_MS, () => service.force.abort());
      service.triggers.stop();
      service.required.rest();
      await config[Symbol.asyncDispose]();
      const saved = gateway.handing?.save();
      if (saved !== undefined) await settlesWithin(clock, SAVE_MS, saved);
      // The end of the fleet's connection is not awaited, because its server may hang.
      service.fleet.handOver();
      const written = gatewayOwn.handOver();
      await service.parts[Symbol.asyncDispose]();
      await written;
      await service.memory.flush();
    },
    /** The running configuration, a new object after each edit. */
    config: (): object => running(),
    /** Grows with each change of files that the successor reads only at its start. */
    changes: (): number => gatewayOwn.writes.changes,
    /** The reason if the state on disk is out of date; null if it is up to date. */
    unsavedBecause: (): string | null => service.memory.saveError?.message ?? null,
    /** The gateway's listening socket; this daemon accepts connections until the successor does. */
    listener: (): InheritedListener | null => gateway.handing?.listener.handed ?? null,
    /** What the successor has to know of this daemon's clients and programs. */
    handed(): Pick<Go, "states" | "once" | "sessions" | "secret" | "questions"> {
      const { suspended, questions, sessionSecret } = gatewayOwn;
      const { bytes, unsavedBecause } = sessionSecret();
      return {
        states: suspended.stateKey,
        once: runOnce(),
        sessions: gateway.handing?.http.store.handOver() ?? NO_SESSIONS,
        secret: { text: bytes.toString("base64url"), unsavedBecause },
        questions: questions.handOver(),
      };
    },
    /** From now on, each of both daemons gets what clients send to the other one about it. */
    link(successor: Successor): void {
      const { suspended, others } = gatewayOwn;
      others.next = successor.join(ownSessions(gateway, suspended, "next"), clock);
    },
    /** Process groups of backends that must not run twice, in this daemon and the previous one. */
    runOnce,
    /** Resolves when all requests in flight are served and connections closed, or the drain time is over. */
    async leave(next: Successor): Promise<void> {
      const groups = runOnce();
      const onEnded = async (): Promise<void> => {
        await previous?.ended;
        await groupsGone(groups, clock);
        next.ended();
      };
      const graceMs = running().server?.drainTimeoutMs ?? DEFAULT_DRAIN_MS;
      const left = gateway.handing?.leave(graceMs, onEnded);
      // This daemon passes on clients' messages about requests that are in flight in the previous daemon. So it waits
      // until those requests have ended.
      const before = previous === undefined ? null : settlesWithin(clock, graceMs, previous.gone);
      await Promise.all([left, before]);
      await settlesWithin(clock, LAST_MESSAGES_MS, next.allSent());
    },
  };
}

export function serving({ backends }: GatewayView): readonly string[] {
  return backends.filter(({ enabled, phase }) => enabled && phase === "Ready").map(({ name }) => name);
}

/** What the daemon on that side brings to this one. */
export function ownSessions(
  gateway: { readonly handing: Pick<HandingGateway, "http"> | null },
  suspended: SuspendedCalls,
  side: Side,
): OwnSessions {
  return {
    suspended,
    deliver: async (message) => (await gateway.handing?.http.deliver(message, side)) ?? false,
    change: (hash, change) => gateway.handing?.http.change(hash, change, side),
  };
}
