// What the running service gives up when it hands over, and how it then ends: those who are there are served to the end.
import type { MountaineerConfig } from "../../config/snapshot.ts";
import type { StateKey, SuspendedCalls } from "../../gateway/front/suspended/suspended-calls.ts";
import type { Gateway } from "../../gateway/serving/gateway.ts";
import type { GatewayView, GivenDoor } from "../../gateway/serving/gateway-contract.ts";
import { groupsGone } from "../../runtime/process/process-identity.ts";
import { type Clock, settledWithin } from "../../runtime/time/clock.ts";
import type { ConfigWatcher } from "../../sync/config-watcher.ts";
import type { BegunSession, HandedSessions } from "./handed-sessions.ts";
import type { ClientWords } from "./link-messages.ts";
import type { Successor } from "./successor.ts";

/** A step that is under way is finished; one that takes longer is left to the next daemon, which looks afresh. */
const STEP_DEADLINE_MS = 15_000;
const DEFAULT_DRAIN_MS = 30_000;
/** For the pins of tools; a keyring that gives no answer keeps nobody waiting. */
const SAVE_MS = 2_000;
/** A client that begins a session waits no longer for a next daemon that is long in coming. */
const KEEP_MS = 2_000;
/** For what was said to the next daemon to get there. */
const LAST_WORDS_MS = 2_000;

export type Handing = ReturnType<typeof createHanding>;

/** The part of the gateway that a handover is about. */
export type HandingGateway = Pick<
  Gateway,
  "save" | "takeHome" | "leave" | "view" | "http" | "keeper" | "pool"
>;

interface HandingParts {
  readonly clock: Clock;
  readonly memory: { flush(): Promise<unknown>; readonly unsavedBecause: Error | null };
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
  readonly elsewhere?:
    | { readonly gone: Promise<void>; readonly ended: Promise<void>; readonly once: readonly number[] }
    | undefined;
  readonly gatewayOwn: {
    handOver(): Promise<void>;
    readonly writes: { readonly changes: number };
    readonly sessions: HandedSessions;
    readonly suspended: SuspendedCalls;
  };
}

export function createHanding(service: HandingParts, onBegin: () => void) {
  const { clock, config, gateway, gatewayOwn, elsewhere } = service;
  const runOnce = (): readonly number[] => [
    ...(gateway.handing?.pool.runOnce ?? []),
    ...(elsewhere?.once ?? []),
  ];
  const running = () => config.watcher.running.snapshot.config;
  return {
    /** By name, backends that serve now, can serve in another daemon at the same time, and whose successor should. */
    mustServe(): readonly string[] {
      const view = gateway.handing?.view() ?? null;
      const alone = new Set(
        running()
          .backends.filter(({ replace, requires }) => replace === "stop-first" || requires.length > 0)
          .map(({ name }) => name),
      );
      return view === null ? [] : serving(view).filter((name) => !alone.has(name));
    },
    /** Ends steps and saves all; what clients do of sessions from now on is told to `successor`. Never rejects. */
    async giveUp(successor: () => Successor | null): Promise<void> {
      onBegin();
      using _ = clock.setTimer(STEP_DEADLINE_MS, () => service.force.abort());
      service.triggers.stop();
      service.required.rest();
      await config[Symbol.asyncDispose]();
      const saved = gateway.handing?.save();
      if (saved !== undefined) await settledWithin(clock, SAVE_MS, saved);
      // Its connection ends beside this: a server of the fleet that hangs holds nobody up.
      service.fleet.handOver();
      const written = gatewayOwn.handOver();
      await gatewayOwn.sessions.handTo({
        async keep(session) {
          // It is told in any case: before it opens the door, or when it takes another one's place.
          const kept = successor()?.keep(session);
          if (kept !== undefined) await settledWithin(clock, KEEP_MS, kept);
        },
        end: (hash) => successor()?.endSession(hash),
      });
      await service.parts[Symbol.asyncDispose]();
      await written;
      await service.memory.flush();
    },
    /** What runs of the configuration: another object after each edit. */
    config: (): object => running(),
    /** Another one after each change of the home that `successor` reads at its start alone. */
    changes: (): number => gatewayOwn.writes.changes,
    /** Why the state that the next daemon would read is an old one; null: it is not. */
    unsavedBecause: (): string | null => service.memory.unsavedBecause?.message ?? null,
    /** Where the door is; this daemon goes on to take whoever comes until the next one does. */
    door: (): GivenDoor | null => gateway.handing?.keeper.door ?? null,
    /** Those that `successor` was told. */
    lateSessions: (): readonly BegunSession[] => gatewayOwn.sessions.late,
    /** By hash, those that clients have ended since. */
    endedSessions: (): Iterable<string> => gatewayOwn.sessions.ended,
    /** What signs the states that clients carry: they come to the next daemon with them. */
    states: (): StateKey => gatewayOwn.suspended.stateKey,
    /** Requests of clients whose calls wait in the other one go to and fro from now on. */
    link: (successor: Successor): void =>
      gatewayOwn.suspended.makeWay(successor.passing(gatewayOwn.suspended)),
    /** What a client said to the next daemon about something in flight here. */
    hear: ({ hash, text }: ClientWords): void => gateway.handing?.http.hear(hash, text),
    /** Process groups of what cannot run twice, here and in the daemon before. */
    runOnce,
    /** Resolves when all who were there have gone on, or their time is over. */
    async leave(next: Successor): Promise<void> {
      const groups = runOnce();
      const onEnded = async (): Promise<void> => {
        await elsewhere?.ended;
        await groupsGone(groups, clock);
        next.ended();
      };
      const graceMs = running().server?.drainTimeoutMs ?? DEFAULT_DRAIN_MS;
      const pass = next.takesConnections ? (handle: object) => next.pass(handle, clock) : null;
      const left = gateway.handing?.leave(graceMs, onEnded, pass);
      // What is still in flight there is reached by way of this one.
      const before = elsewhere === undefined ? null : settledWithin(clock, graceMs, elsewhere.gone);
      await Promise.all([left, before]);
      await settledWithin(clock, LAST_WORDS_MS, next.told());
    },
  };
}

export function serving({ backends }: GatewayView): readonly string[] {
  return backends.filter(({ enabled, phase }) => enabled && phase === "Ready").map(({ name }) => name);
}
