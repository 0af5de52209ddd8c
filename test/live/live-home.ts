// A home with a real daemon on one machine, without root: shares of driver `local`, the configuration edited as
// people do.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { promisify } from "node:util";
import { connectToDaemon, type DaemonClient } from "../../src/api/client/client.ts";
import type { SyncReport } from "../../src/api/contract/config.ts";
import type { Condition, ShareStatus } from "../../src/api/contract/contract.ts";
import { createTestHome, type LogLine, type Monitor, type TestHome } from "../support/daemon.ts";
import { ANSWERS_MS, eventually } from "../support/eventually.ts";
import { killAll, serversOf } from "../support/processes.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

/** How long anything may take on a busy machine, ms. */
export const SETTLES_MS = 20_000;

export interface LiveHome extends TestHome {
  /** Holds the home, the shares' folders and all roots. */
  readonly folder: string;
  /** A config of these shares, whose folders are made, and more lines of `[global]` and `[sync]`. */
  text(
    shares: readonly string[],
    more?: { readonly global?: string; readonly sync?: string },
  ): Promise<string>;
  /** Starts a daemon that ends with the test. */
  start(args?: readonly string[]): Promise<Monitor>;
  daemon(): Promise<DaemonClient>;
  sync(): Promise<SyncReport>;
  untilSync(holds: (sync: SyncReport) => boolean): Promise<SyncReport>;
  untilMounted(...shares: readonly string[]): Promise<readonly ShareStatus[]>;
  condition(code: string): Promise<Condition | null>;
  logged(message: string): Promise<readonly LogLine[]>;
  /** A process whose working directory is there, ended with the test. */
  hold(folder: string): Promise<ChildProcess>;
}

/** Watched often, so that stories are short; the debounce is what they are about where it matters. */
export const QUICK_SYNC = "poll_interval = 0.1\ndebounce = 0.1";

export async function liveHome(
  t: TestContext,
  options: {
    readonly env?: Readonly<Record<string, string>>;
    readonly launcher?: string;
    readonly kept?: boolean;
    /** Ends what the daemon uses: after it has ended, and before the folder goes. */
    readonly before?: () => Promise<void>;
  } = {},
): Promise<LiveHome> {
  const ends: (() => Promise<unknown>)[] = options.before === undefined ? [] : [options.before];
  // Registered before the folder's removal, so that it runs before it.
  t.after(async () => {
    for (const end of ends.toReversed()) await end();
  });
  const folder = await temporaryFolder(t);
  const home = await createTestHome({
    home: join(folder, "home"),
    env: { HOME: folder, ...options.env },
    ...(options.launcher === undefined ? {} : { launcher: options.launcher }),
    kept: options.kept === true,
  });
  const self: LiveHome = {
    ...home,
    folder,
    async text(shares, { global = "", sync = QUICK_SYNC } = {}) {
      const sections = [
        "[global]",
        `shares_root = "${join(folder, "Shares")}"`,
        "check_interval_secs = 0.3",
        global,
        "[sync]",
        sync,
      ];
      for (const share of shares) {
        const routes = ["tb", "fallback"].map((route) => join(folder, `${share}-${route}`));
        for (const route of routes) await mkdir(route, { recursive: true });
        sections.push("[[shares]]", `name = "${share}"`);
        sections.push(`thunderbolt_path = "${routes[0]}"`, `fallback_path = "${routes[1]}"`);
      }
      return `${sections.filter((line) => line !== "").join("\n")}\n`;
    },
    async start(args = []) {
      const monitor = await home.startMonitor(args);
      ends.push(async () => monitor[Symbol.asyncDispose]());
      return monitor;
    },
    async daemon() {
      const daemon = await connectToDaemon(home.home);
      if (daemon === null) throw new Error("no daemon runs");
      return daemon;
    },
    sync: async () => (await self.daemon()).call("sync", null, AbortSignal.timeout(ANSWERS_MS)),
    async untilSync(holds) {
      let last: SyncReport | null = null;
      try {
        return await eventually(async () => {
          last = await self.sync();
          return holds(last) ? last : null;
        });
      } catch (error) {
        throw new Error(`sync did not come to that: ${JSON.stringify(last)}`, { cause: error });
      }
    },
    untilMounted: (...shares) =>
      Promise.all(
        shares.map((share) =>
          home.untilShare(
            share,
            ({ active_interface, mount_alive, last_error }) =>
              active_interface !== "none" && mount_alive && last_error === null,
            SETTLES_MS,
          ),
        ),
      ),
    async condition(code) {
      const report = await home.glance();
      return report?.global.conditions.find((each) => each.code === code) ?? null;
    },
    logged: async (message) => (await home.log()).filter((line) => line["message"] === message),
    async hold(where) {
      const child = spawn("sleep", ["600"], { cwd: where, stdio: "ignore" });
      const ended = once(child, "exit");
      await once(child, "spawn");
      ends.push(async () => {
        child.kill("SIGKILL");
        await ended;
      });
      return child;
    },
  };
  return self;
}

/** As most editors save. */
export async function renameOver(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
}

/** What stands at a path in the system's table of mounts, by its id; null: nothing. */
export async function mountIdAt(path: string): Promise<string | null> {
  const table = await readFile("/proc/self/mountinfo", "utf8");
  const line = table.split("\n").findLast((each) => each.split(" ")[4] === path.replaceAll(" ", "\\040"));
  return line?.split(" ")[0] ?? null;
}

/** Kills its daemons, then what serves its mounts; resolves once nothing that goes on without a daemon is left. */
export async function endMounts(
  { home }: TestHome,
  shares: readonly string[],
  monitors: readonly Monitor[],
): Promise<void> {
  // Before the rest: it would mount again.
  for (const monitor of monitors) await monitor.kill9();
  killAll(await serversOf(home));
  for (const name of shares)
    await promisify(execFile)("fusermount3", ["-uz", join(home, "volumes", name)]).catch(() => {});
  await eventually(async () => (await serversOf(home)).length === 0);
}

/** Waits for a share, asked through the daemon that runs; `what` names it where it does not come to that. */
export async function untilShareOf(
  home: TestHome,
  name: string,
  what: string,
  holds: (share: ShareStatus) => boolean,
  ms = 40_000,
): Promise<ShareStatus> {
  return home.untilShare(name, holds, ms).catch((cause: unknown) => {
    throw new Error(`${what}: ${cause instanceof Error ? cause.message : cause}`, { cause });
  });
}
