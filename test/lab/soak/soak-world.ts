// What a soak plays with: the scene, the daemon that a service manager would start again, and what must be undone before
// the world is calm.
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { Monitor } from "../../support/daemon.ts";
import type { Scene } from "../scene.ts";
import type { Agents } from "./agents.ts";
import type { ConfigFile } from "./config-file.ts";
import type { Ledger } from "./promises.ts";

export const CARRIED = "CORE";
export const PER_ROUTE = "MEDIA";
export const SHARES = [CARRIED, PER_ROUTE] as const;
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
  /** While it is there, the writers of shares rest: a share mounted per route is switched when nothing is unsent. */
  readonly restFile: string;
  count(what: string): void;
  say(line: string): void;
}

const CONFIG_MISTAKE = 3;
const BETWEEN_STARTS_MS = 500;

/** Starts the daemon, and again after each kill, as a service manager does. */
export interface DaemonKeeper {
  /** null while none runs. */
  readonly pid: number | null;
  start(): Promise<void>;
  /** SIGKILL, and another one so much later. */
  kill(backAfterMs: number): Promise<void>;
  stop(): Promise<void>;
}

export function createDaemonKeeper({
  scene,
  underWay,
  count,
}: Pick<World, "scene" | "underWay" | "count">): DaemonKeeper {
  let monitor: Monitor | null = null;
  const self: DaemonKeeper = {
    get pid() {
      return monitor?.pid ?? null;
    },
    async start() {
      for (;;) {
        try {
          monitor = await scene.start(null);
          return;
        } catch (error) {
          // As a service manager: a file that has a mistake is mended by its author, sooner or later.
          if (!String(error).includes(`monitor ended with ${CONFIG_MISTAKE}`)) throw error;
          count("× a start refused for a mistake in the file");
          await pause(BETWEEN_STARTS_MS);
        }
      }
    },
    async kill(backAfterMs) {
      const dying = monitor;
      if (dying === null) return;
      monitor = null;
      await dying.kill9();
      goesOn(underWay, pause(backAfterMs).then(self.start));
    },
    async stop() {
      await monitor?.stop();
      monitor = null;
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
