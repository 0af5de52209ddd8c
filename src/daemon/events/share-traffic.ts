// The bytes that each share that moves has transferred in the last ten minutes, when its programs waited, and the free space of each
// share. Memory is bounded: a fixed number of steps for each configured share.
import type { ShareStatus } from "../../api/contract/contract.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { MountReport } from "../../shares/drivers/moving-mounts.ts";
import type { ShareEngine } from "../../shares/engine/share-engine.ts";
import type { Prober } from "../../shares/prober/prober.ts";

const STEP_MS = 10_000;
const STEPS = 60;
/** Time between two checks of a share's free space, ms. */
const SPACE_EVERY_MS = 60_000;
const SPACE_WAIT_MS = 2_000;
/** A request without an answer for this long counts as a wait, ms. */
const WAITS_FROM_MS = 1_000;

type Measured = Pick<ShareStatus, "traffic" | "space">;

interface TrafficOptions {
  readonly engine: Pick<ShareEngine, "names" | "view">;
  readonly status: (share: string) => Pick<ShareStatus, "mount_alive" | "mount_path" | "moves">;
  readonly prober: Pick<Prober, "space">;
  readonly clock: Clock;
}

export function startShareTraffic({ engine, status, prober, clock }: TrafficOptions) {
  const shares = new Map<string, ShareMeasures>();
  const sample = (): void => {
    timer = clock.setTimer(STEP_MS, sample);
    const { names } = engine;
    for (const gone of [...shares.keys()].filter((name) => !names.includes(name))) shares.delete(gone);
    for (const name of names) {
      const share = shares.get(name) ?? new ShareMeasures();
      shares.set(name, share);
      share.record(engine.view(name).moving ?? null, clock.monotonicMs());
      void share.checkSpace(status(name), prober, clock.monotonicMs());
    }
  };
  let timer = clock.setTimer(STEP_MS, sample);
  return {
    of: (share: string): Measured => shares.get(share)?.measured ?? {},
    [Symbol.dispose](): void {
      timer[Symbol.dispose]();
    },
  };
}

class ShareMeasures {
  #before: MountReport | null = null;
  #bytes: number[] = [];
  #waited: boolean[] = [];
  #space: Measured["space"];
  #spaceAtMs = Number.NEGATIVE_INFINITY;

  get measured(): Measured {
    return {
      ...(this.#bytes.length === 0
        ? {}
        : { traffic: { step_secs: STEP_MS / 1000, bytes: [...this.#bytes], waited: [...this.#waited] } }),
      ...(this.#space === undefined ? {} : { space: this.#space }),
    };
  }

  record(now: MountReport | null, nowMs: number): void {
    const before = this.#before;
    this.#before = now;
    if (now === null) {
      this.#bytes = [];
      this.#waited = [];
    } else if (before !== null) {
      const grown = total(now) - total(before);
      // A remounted share counts from 0.
      this.#bytes = [...this.#bytes, grown < 0 ? total(now) : grown].slice(-STEPS);
      this.#waited = [...this.#waited, hasWaited(before, now, nowMs)].slice(-STEPS);
    }
  }

  /** Only a mount that answers is checked: one that hangs would take another process of the prober. */
  async checkSpace(
    { mount_alive: isAlive, mount_path: path, moves }: ReturnType<TrafficOptions["status"]>,
    prober: TrafficOptions["prober"],
    nowMs: number,
  ): Promise<void> {
    if (!isAlive || (moves?.phase ?? "serving") !== "serving") {
      this.#space = undefined;
      // Asked again as soon as the mount answers.
      this.#spaceAtMs = Number.NEGATIVE_INFINITY;
      return;
    }
    if (nowMs - this.#spaceAtMs < SPACE_EVERY_MS) return;
    this.#spaceAtMs = nowMs;
    this.#space = (await prober.space(path, SPACE_WAIT_MS)) ?? undefined;
  }
}

function total({ bytesUp, bytesDown }: MountReport): number {
  return bytesUp + bytesDown;
}

function hasWaited(before: MountReport, now: MountReport, nowMs: number): boolean {
  const { phase, pauses, longestWaitMs, waitingSinceMs } = now;
  return (
    phase.is !== "serving" ||
    pauses !== before.pauses ||
    longestWaitMs > Math.max(before.longestWaitMs, WAITS_FROM_MS) ||
    (waitingSinceMs !== null && nowMs - waitingSinceMs > WAITS_FROM_MS)
  );
}
