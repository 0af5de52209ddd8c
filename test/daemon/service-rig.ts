// A whole service inside the test's process: a home in a temporary folder, shares of driver `local`, the real prober.
import assert from "node:assert/strict";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { ShareStatus } from "../../src/api/contract/contract.ts";
import { openHome } from "../../src/daemon/compose/home.ts";
import { type SentinelService, startSentinelService } from "../../src/daemon/daemon-service.ts";
import type { ServiceTransition } from "../../src/daemon/events/service-transitions.ts";
import { openStateStore } from "../../src/reconcile/state-file.ts";
import { type Clock, systemClock } from "../../src/runtime/time/clock.ts";
import { eventually } from "../support/eventually.ts";
import { readersInProcess } from "../support/reader-in-process.ts";
import { createRecordingLogger, type RecordingLogger } from "../support/recording-logger.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

export interface LocalShare {
  readonly name: string;
  /** The folder behind a route, below the rig's own; default `NAME-tb` and `NAME-fallback`. */
  readonly tb?: string;
  readonly fallback?: string;
  readonly lines?: readonly string[];
}

export interface ServiceRig {
  readonly folder: string;
  readonly home: string;
  readonly configFile: string;
  /** A config of these shares, folders of both routes made. */
  config(shares: readonly (string | LocalShare)[], sections?: ConfigSections): Promise<string>;
  write(text: string): Promise<void>;
  start(options?: {
    readonly unmountOnExit?: boolean;
    readonly intervalMs?: number;
    readonly clock?: Clock;
  }): Promise<RunningService>;
}

export interface ConfigSections {
  /** Lines of `[global]`, beside roots and a check interval of 0.2 s. */
  readonly global?: readonly string[];
  /** Lines of `[sync]`; default: looks every 50 ms, rests 50 ms. */
  readonly sync?: readonly string[];
  /** Names of the roots below the rig's folder. */
  readonly sharesRoot?: string;
  readonly mountRoot?: string;
}

export interface RunningService {
  readonly service: SentinelService;
  readonly logger: RecordingLogger;
  readonly transitions: readonly ServiceTransition[];
  share(name: string): ShareStatus;
  until(name: string, holds: (share: ShareStatus) => boolean): Promise<ShareStatus>;
  /** state.json, parsed. */
  state(): Promise<{ shares: Record<string, Record<string, unknown>> }>;
  stop(): Promise<void>;
}

export const NEVER: AbortSignal = new AbortController().signal;

/** `variables` are set for the service besides those of the test's own process. */
export async function createServiceRig(
  t: TestContext,
  variables: Readonly<Record<string, string>> = {},
): Promise<ServiceRig> {
  const running: RunningService[] = [];
  // Registered before the folder's removal, so that it runs before it.
  t.after(async () => {
    for (const each of running) await each.stop();
  });
  const folder = await temporaryFolder(t);
  const home = join(folder, "home");
  const configFile = join(home, "config.toml");
  await mkdir(home);
  const environment = {
    ...process.env,
    HOME: folder,
    MOUNTAINEER_HOME: home,
    SECRET: "a secret word",
    ...variables,
  };

  return {
    folder,
    home,
    configFile,
    async config(shares, { global = [], sync, sharesRoot = "Shares", mountRoot = "volumes" } = {}) {
      const sections = [
        [
          "[global]",
          `shares_root = "${join(folder, sharesRoot)}"`,
          `mount_root = "${join(folder, mountRoot)}"`,
        ],
        global.some((line) => line.startsWith("check_interval_secs")) ? [] : ["check_interval_secs = 0.2"],
        global,
        // Looks that come late on a busy machine are no gap in what a route answered.
        ["connect_timeout_ms = 30000"],
        ["[sync]", ...(sync ?? ["poll_interval = 0.05", "debounce = 0.05"])],
      ].flat();
      for (const share of shares) {
        const { name, lines = [], ...folders } = typeof share === "string" ? { name: share } : share;
        const tb = join(folder, folders.tb ?? `${name}-tb`);
        const fallback = join(folder, folders.fallback ?? `${name}-fallback`);
        for (const route of [tb, fallback]) await mkdir(route, { recursive: true });
        sections.push("[[shares]]", `name = "${name}"`, `driver = "local"`);
        sections.push(`thunderbolt_path = "${tb}"`, `fallback_path = "${fallback}"`, ...lines);
      }
      return `${sections.join("\n")}\n`;
    },
    async write(text) {
      await writeFile(`${configFile}.new`, text);
      await rename(`${configFile}.new`, configFile);
    },
    async start({ unmountOnExit = false, intervalMs = null as number | null, clock = systemClock } = {}) {
      const logger = createRecordingLogger();
      const startReader = readersInProcess();
      const opened = await openHome({
        home,
        configPath: null,
        environment,
        writesStarter: true,
        fallsBack: true,
        clock: systemClock,
        startReader,
      });
      const memory = await openStateStore({ path: join(home, "state.json"), clock: systemClock, logger });
      const service = await startSentinelService({
        home,
        homeContext: opened.homeContext,
        environment,
        snapshot: opened.snapshot,
        rejected: opened.rejected,
        memory,
        clock,
        logger,
        redact: () => {},
        intervalMs,
        unmountOnExit,
        startReader,
      });
      const transitions: ServiceTransition[] = [];
      service.bus.subscribe((transition) => transitions.push(transition));
      const share = (name: string): ShareStatus => {
        const found = service.control.status().shares.find((each) => each.name === name);
        assert.ok(found !== undefined, `status knows no share ${name}`);
        return found;
      };
      const self: RunningService = {
        service,
        logger,
        transitions,
        share,
        async until(name, holds) {
          try {
            return await eventually(() => (holds(share(name)) ? share(name) : null));
          } catch (error) {
            const last = service.control.status().shares.find((each) => each.name === name) ?? null;
            throw new Error(`${name} did not come to that: ${JSON.stringify(last)}`, { cause: error });
          }
        },
        state: async () => JSON.parse(await readFile(join(home, "state.json"), "utf8")),
        async stop() {
          await service[Symbol.asyncDispose]();
          await memory[Symbol.asyncDispose]();
        },
      };
      running.push(self);
      return self;
    },
  };
}

export function overTb({ active_interface, mount_state, mount_alive }: ShareStatus): boolean {
  return active_interface === "tb" && mount_state === "mounted" && mount_alive;
}
