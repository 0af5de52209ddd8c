// The share engine of a daemon in simulated time, with all its own parts but those that touch the system.
import { noopLogger } from "../../../src/runtime/log/log.ts";
import type { Clock } from "../../../src/runtime/time/clock.ts";
import { ShareEngine } from "../../../src/shares/engine/share-engine.ts";
import type { SharePolicy, ShareSpec } from "../../../src/shares/share-spec.ts";
import { POLICY } from "../world.ts";
import type { SimMachine } from "./sim-machine.ts";

export const TICK_MS = 2_000;
const NEVER = new Promise<never>(() => {});

/** What a killed daemon asks is done, and it hears no answer. */
function heardBy<T extends object>(isAlive: () => boolean, target: T): T {
  return new Proxy(target, {
    get(from, key) {
      const member: unknown = Reflect.get(from, key, from);
      if (typeof member !== "function") return member;
      return (...given: readonly unknown[]) => {
        if (!isAlive()) return NEVER;
        const answer: unknown = member.apply(from, given);
        if (!(answer instanceof Promise)) return answer;
        return new Promise((resolve, reject) =>
          answer.then(
            (value) => isAlive() && resolve(value),
            (error: unknown) => isAlive() && reject(error),
          ),
        );
      };
    },
  });
}

export type SimDaemon = ReturnType<typeof startSimDaemon>;

/** One life of a daemon; its state file is the machine's. `more`: other parts of its engine. */
export function startSimDaemon(
  machine: SimMachine,
  system: Clock,
  first: ShareSpec,
  onRouteChange: "move" | "remount",
  more: Partial<ConstructorParameters<typeof ShareEngine>[0]> = {},
  policy: Partial<SharePolicy> = {},
) {
  const { saved } = machine;
  let lives = true;
  const isAlive = (): boolean => lives;
  const clock: Clock = heardBy(isAlive, {
    ...system,
    setTimer: (ms: number, callback: () => void) => system.setTimer(ms, () => lives && callback()),
  });
  const stored = async () => null;
  const prober = heardBy(isAlive, machine.prober(clock));
  const driver = heardBy(isAlive, machine.driver(clock, prober));
  const local = heardBy(isAlive, machine.localDriver());
  const hostProber = heardBy(isAlive, machine.network.hostProber(clock));
  const engine = new ShareEngine({
    clock,
    logger: noopLogger,
    memory: {
      restored: {
        shares: new Map([["CORE", saved.memory]]),
        ...{ observedAt: saved.atMs, setAside: null },
      },
      save(_share, memory) {
        saved.memory = memory;
        saved.atMs = system.wallMs();
        return stored();
      },
      ...{ forget: stored, flush: stored, saveError: null },
      async [Symbol.asyncDispose]() {},
    },
    hostProber,
    prober,
    compareServers: machine.network.compareServers,
    forceStop: new AbortController().signal,
    announce() {},
    drivers: [driver, local],
    links: {
      ensure: () => null,
      ensureNow: async () => null,
      check: async () => null,
      remove: async () => {},
    },
    ...more,
  });
  const tick = (): void => {
    engine.triggerAll("tick", clock.monotonicMs());
    clock.setTimer(TICK_MS, tick);
  };
  const apply = (spec: ShareSpec): void =>
    engine.apply([
      {
        ...{ spec, policy: { ...POLICY, onRouteChange, stableMs: 5_000, ...policy } },
        driver: spec.driver === "local" ? local : driver,
      },
    ]);
  apply(first);
  tick();
  return {
    engine,
    /** The configuration is another; null: without the share. */
    apply(spec: ShareSpec | null): void {
      if (spec === null) engine.apply([]);
      else apply(spec);
      engine.triggerAll("config", clock.monotonicMs());
    },
    kill(): void {
      lives = false;
      machine.forgetListeners();
    },
  };
}
