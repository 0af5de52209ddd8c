// What a soak plays with: the scene, the daemon that a service manager would start again, and what must be undone before
// the world is calm.
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { connectToDaemon } from "../../../src/api/client/client.ts";
import type { Monitor } from "../../support/daemon.ts";
import { signalIfRuns } from "../../support/processes.ts";
import type { Scene } from "../scene.ts";
import type { Agents } from "./agents.ts";
import type { ConfigFile } from "./config-file.ts";
import type { Ledger } from "./promises.ts";

export const MOVING = "CORE";
export const REMOUNTED = "MEDIA";
export const SHARES = [MOVING, REMOUNTED] as const;
/** Of a namespace of its own, where nobody else listens. */
export const GATEWAY_PORT = 9_000;

export interface World {
  readonly scene: Scene;
  readonly ledger: Ledger;
  readonly config: ConfigFile;
  readonly agents: Agents;
  readonly daemon: DaemonKeeper;
  /** What ends a hang that still lasts; empty when none does. */
  readonly thaws: Set<() => void>;
  /** What goes on by itself: a daemon or a server that comes back, a command that runs. */
  readonly underWay: Set<Promise<unknown>>;
  /** While it is there, the writers of shares rest: a share that is remounted is switched when nothing is open. */
  readonly restFile: string;
  count(what: string): void;
  /** One of ours was ended by SIGKILL. */
  killed(role: string): void;
  say(line: string): void;
}

const CONFIG_MISTAKE = 3;
const BETWEEN_STARTS_MS = 500;
/** In one soak; each is a broken promise. */
const MOST_FAILED_STARTS = 5;

/** Starts the daemon, and again when it has ended, as a service manager does. */
interface DaemonKeeper {
  start(): Promise<void>;
  /** SIGKILL for the one in charge, and another one so much later; false: none is. */
  kill(backAfterMs: number): Promise<boolean>;
  stop(): Promise<void>;
}

type KeeperParts = Pick<World, "scene" | "count" | "ledger">;

export function createDaemonKeeper({ scene, count, ledger }: KeeperParts): DaemonKeeper {
  let monitor: Monitor | null = null;
  let wanted = true;
  let kills = 0;
  let backAfterMs = 0;
  let failures = 0;
  const follow = async (started: Monitor): Promise<void> => {
    const { code, signal } = await started.ended;
    monitor = null;
    if (!wanted) return;
    ledger.expect("stays", kills > 0, () => `it ended with ${code ?? signal}, and nobody had killed it`);
    kills = 0;
    await pause(backAfterMs);
    await self.start();
  };
  const self: DaemonKeeper = {
    async start() {
      while (monitor === null && wanted) {
        try {
          monitor = await scene.start(null);
          follow(monitor).catch((error: unknown) => ledger.broken("stays", String(error)));
        } catch (error) {
          // As a service manager: one that was killed before it was up is started again,
          if (kills > 0) {
            kills = 0;
            count("× a start ended by SIGKILL");
            await pause(backAfterMs);
            continue;
          }
          // and a file that has a mistake is mended by its author, sooner or later.
          if (String(error).includes(`monitor ended with ${CONFIG_MISTAKE}`)) {
            count("× a start refused for a mistake in the file");
          } else {
            ledger.broken("stays", String(error));
            failures++;
            if (failures > MOST_FAILED_STARTS) throw error;
          }
          await pause(BETWEEN_STARTS_MS);
        }
      }
    },
    async kill(afterMs) {
      const pid = (await connectToDaemon(scene.home.home).catch(() => null))?.pid;
      if (pid == null) return false;
      kills++;
      backAfterMs = afterMs;
      signalIfRuns(pid, "SIGKILL");
      return true;
    },
    async stop() {
      wanted = false;
      await monitor?.stop();
    },
  };
  return self;
}

/** Remembers it until it has ended; its failure is then whoever's who waits for all. */
export function goesOn(underWay: Set<Promise<unknown>>, work: Promise<unknown>): void {
  underWay.add(work);
  work.then(
    () => underWay.delete(work),
    () => {},
  );
}

export function clockFile(folder: string): string {
  return path.join(folder, "clock");
}

export function shiftClock(scene: Scene, ms: number): Promise<void> {
  return writeFile(clockFile(scene.folder), String(Math.round(ms)));
}
