// The home's lock and state, which only one daemon may have: opened at a start, or taken over from the daemon before.
import { join } from "node:path";
import type { InheritedListener } from "../gateway/serving/gateway-contract.ts";
import { openStateStore } from "../reconcile/state-file.ts";
import type { StateStore } from "../reconcile/state-store.ts";
import { unlessAborted } from "../runtime/abort.ts";
import type { DisposalStack } from "../runtime/disposal.ts";
import type { Logger } from "../runtime/log/log.ts";
import { acquireHomeLock, type HomeLock } from "../runtime/process/home-lock.ts";
import { systemClock } from "../runtime/time/clock.ts";
import { packageVersion } from "../runtime/version.ts";
import { type HomeWatch, watchHome } from "./home-watch.ts";
import type { RunOptions } from "./serve-daemon.ts";
import type { TakeHome } from "./service-parts.ts";

/** Longest wait for the home's lock while a single-shot command holds it, ms. */
const LOCK_WAIT_MS = 10_000;

interface OwnerParts {
  /** null: the daemon before has it still. */
  readonly homeLock: HomeLock | null;
  /** What a handover gives up before the rest of `stack` ends. */
  readonly owned: DisposalStack;
  readonly stack: DisposalStack;
  readonly logger: Logger;
  readonly onLost: () => void;
}

export class HomeOwner {
  readonly #options: RunOptions;
  readonly #parts: OwnerParts;
  #lock: HomeLock | null;
  #watch: HomeWatch | null = null;

  constructor(options: RunOptions, parts: OwnerParts) {
    this.#options = options;
    this.#parts = parts;
    this.#lock = parts.homeLock;
  }

  get isLocked(): boolean {
    return this.#lock?.isLocked === true;
  }

  /** False if the home was moved or removed. */
  async isThere(): Promise<boolean> {
    return (await this.#watch?.isThere()) === true;
  }

  async openState(): Promise<StateStore> {
    const { owned, stack, onLost } = this.#parts;
    const { home, signal } = this.#options;
    this.#watch = owned.use(await watchHome(home, systemClock, onLost));
    return owned.use(stack.use(await unlessAborted(openStateStore(this.#state), signal)));
  }

  /** Waits for the daemon before, then opens the home. */
  readonly take: TakeHome = async (build) => {
    // If this version cannot read the state, the start must fail while the other daemon is still in charge.
    await openStateStore({ ...this.#state, readOnly: true });
    const listener = await this.#takeTurn(build);
    this.#lock = await lockHome(this.#options, this.#parts.owned);
    return { memory: await this.openState(), listener };
  };

  get #state() {
    return { path: join(this.#options.home, "state.json"), clock: systemClock, logger: this.#parts.logger };
  }

  /**
   * Builds the parts that need no home while the other daemon is in charge, and waits until that daemon gives
   * up the home.
   */
  async #takeTurn(build: Parameters<TakeHome>[0]): Promise<InheritedListener | null> {
    const { predecessor, supervisor, signal } = this.#options;
    const version = packageVersion();
    const view = await unlessAborted(build(), signal);
    const backends = Object.fromEntries((view?.backends ?? []).map(({ name, phase }) => [name, phase]));
    this.#parts.logger.info("ready to take over", { pid: process.pid, version });
    const turn = predecessor?.turn({ version, backends }) ?? null;
    const listener = await unlessAborted(Promise.resolve(turn), signal);
    supervisor?.takeCharge();
    return listener;
  }
}

/** `owned` releases the lock. */
export async function lockHome(
  { home, predecessor, signal }: RunOptions,
  owned: DisposalStack,
): Promise<HomeLock> {
  const followsMonitor = predecessor !== null;
  const options = { command: "monitor", waitMs: LOCK_WAIT_MS, followsMonitor, clock: systemClock, signal };
  return owned.use(await acquireHomeLock(home, options));
}
