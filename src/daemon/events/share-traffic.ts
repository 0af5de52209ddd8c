// How fast each share that moves transfers bytes, and the free space of each share.
import type { ShareStatus } from "../../api/contract/contract.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { MountReport } from "../../shares/drivers/moving-mounts.ts";
import type { ShareEngine } from "../../shares/engine/share-engine.ts";
import type { Prober } from "../../shares/prober/prober.ts";

/** Time between two readings of the byte counters, ms. */
const STEP_MS = 10_000;
/** Time between two checks of a share's free space, ms. */
const SPACE_EVERY_MS = 60_000;
const SPACE_WAIT_MS = 2_000;
type Measured = Pick<ShareStatus, "bytes_per_sec" | "space">;

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
      share.record(engine.view(name).moving ?? null);
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
  /** All bytes at the last reading; null: the share does not move. */
  #bytes: number | null = null;
  #rate: number | undefined;
  #space: Measured["space"];
  #spaceAtMs = Number.NEGATIVE_INFINITY;

  get measured(): Measured {
    return {
      ...(this.#rate === undefined ? {} : { bytes_per_sec: this.#rate }),
      ...(this.#space === undefined ? {} : { space: this.#space }),
    };
  }

  record(now: MountReport | null): void {
    const before = this.#bytes;
    this.#bytes = now === null ? null : now.bytesUp + now.bytesDown;
    // A remounted share counts from 0.
    const since = before !== null && (this.#bytes ?? 0) < before ? 0 : before;
    this.#rate =
      this.#bytes === null || since === null ? undefined : ((this.#bytes - since) * 1_000) / STEP_MS;
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
