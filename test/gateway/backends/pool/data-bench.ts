// One backend on a share that comes, goes and is mounted anew when a test says so.
import type { BackendConfig } from "../../../../src/config/snapshot.ts";
import type { DataPrograms, RequiredData } from "../../../../src/gateway/backends/policy/required-data.ts";
import { settle } from "../../../support/manual-clock.ts";
import { type Bench, bench } from "./backend-pool-bench.ts";
import { backendConfig } from "./scripted-instance.ts";

export const CORE = { share: "CORE", folder: null } as const;

export interface DataBench extends Bench {
  /** The share is away from now on, for this reason. */
  leave(reason?: string): Promise<void>;
  /** It is there, on the mount of this name. */
  come(mounts?: string): Promise<void>;
  /** It is being mounted anew from now on. */
  move(): Promise<void>;
  /** Leaders of the process groups that still run on it. */
  running(): readonly number[];
  starts(): number;
}

export function dataBench(change: Partial<BackendConfig> = {}, at: "there" | "away" = "there"): DataBench {
  const there: RequiredData = { kind: "there", mounts: "1" };
  let state: RequiredData = at === "there" ? there : away(0, "it is not mounted");
  const listeners: (() => void)[] = [];
  let programs: () => readonly DataPrograms[] = () => [];
  const b = bench(
    {},
    {
      look: () => state,
      onChange: (listener) => void listeners.push(listener),
      watchPrograms(list) {
        programs = list;
        return () => {};
      },
    },
  );
  const become = async (next: RequiredData): Promise<void> => {
    state = next;
    for (const listener of listeners) listener();
    await settle();
  };
  b.apply(backendConfig("a", { requires: [CORE], ...change }));
  return {
    ...b,
    leave: (reason = "it is not mounted") => become(away(b.clock.monotonicMs(), reason)),
    come: (mounts = "1") => become({ kind: "there", mounts }),
    move: () => become({ kind: "moving", requirement: "CORE" }),
    running: () => programs().flatMap(({ pids }) => pids),
    starts: () => b.script.started.length,
  };
}

function away(sinceMs: number, reason: string): RequiredData {
  return { kind: "away", requirement: "CORE", reason, sinceMs };
}

export async function readyOn(change: Partial<BackendConfig> = {}): Promise<DataBench> {
  const b = dataBench(change);
  await settle();
  b.script.last.becomeReady("one");
  await settle();
  return b;
}
