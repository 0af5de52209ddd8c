// A service of configuration alone, on a real file, for tests of reloads, edits and approvals.
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { StreamEvent } from "../../../src/api/contract/contract.ts";
import { OWNER_RIGHTS } from "../../../src/api/operations/operation.ts";
import { ownRealPath } from "../../../src/config/history/history-owner.ts";
import { findHomeContext } from "../../../src/config/home-context.ts";
import { readConfigBytes } from "../../../src/config/read/config-bytes.ts";
import { parseConfig } from "../../../src/config/read/load.ts";
import type { MountaineerConfig } from "../../../src/config/snapshot.ts";
import type { StartReader } from "../../../src/config/worker/reader-process.ts";
import { startApprovals } from "../../../src/daemon/approvals/start-approvals.ts";
import { createEventStream } from "../../../src/daemon/events/event-stream.ts";
import type { ServiceTransition } from "../../../src/daemon/events/service-transitions.ts";
import { createConfigService } from "../../../src/daemon/reload/config-service.ts";
import type { ConfigApplier } from "../../../src/daemon/reload/reload-transaction.ts";
import { systemClock as clock } from "../../../src/runtime/time/clock.ts";
import type { WatchedFile } from "../../../src/sync/watched-file.ts";
import { createLocalFile } from "../../support/local-file.ts";
import { readersInProcess } from "../../support/reader-in-process.ts";
import { createRecordingLogger, type RecordingLogger } from "../../support/recording-logger.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

export const NEVER = new AbortController().signal;

/** A valid configuration that differs in one key. */
export function text(timeoutMs: number, sync = "enabled = false"): string {
  return `[global]\nconnect_timeout_ms = ${timeoutMs}\n[sync]\npoll_interval = 0.05\ndebounce = 0.05\n${sync}\n`;
}

export interface Scene {
  readonly path: string;
  readonly home: string;
  readonly service: ReturnType<typeof createConfigService>;
  readonly transitions: readonly ServiceTransition[];
  readonly streamed: readonly { readonly id: number; readonly event: StreamEvent }[];
  /** While set, the section refuses whatever is offered. */
  readonly mood: { refuses: boolean };
  /** What was committed, in order, as the time that `text` sets. */
  readonly committed: number[];
  /** What the engine runs. */
  config(): MountaineerConfig;
  /** Of approvals. */
  conditions(): readonly { readonly code: string; readonly hint: string | null }[];
  readonly logger: RecordingLogger;
  edit(
    key: string,
    value: string | null,
  ): ReturnType<ReturnType<typeof createConfigService>["control"]["edit"]>;
  /** Idempotent. */
  stop(): Promise<void>;
}

export interface SceneOptions {
  readonly wrap?: (file: WatchedFile) => WatchedFile;
  readonly appliers?: readonly ConfigApplier[];
  /** What decides what runs waits for a person. */
  readonly approvals?: boolean;
  /** As `createConfigService` takes them; default: no secrets, and nobody else who may write the file. */
  readonly bindSecrets?: Parameters<typeof createConfigService>[0]["bindSecrets"];
  readonly requirePrivate?: () => Promise<void>;
  /** Default: reads in the test's own process. */
  readonly startReader?: StartReader;
}

/** A home for services, one after the other; none outlives the test. */
export async function sceneHome(t: TestContext, first: string, file = "config.toml") {
  const running = new Set<Scene>();
  // Registered before the folder's removal, so that it runs before it.
  t.after(async () => {
    for (const each of running) await each.stop();
  });
  const home = join(await temporaryFolder(t), "home");
  await mkdir(home);
  const path = join(home, file);
  await writeFile(path, first);
  return {
    home,
    path,
    async start(options: SceneOptions = {}): Promise<Scene> {
      const started = await openScene(home, options, file);
      running.add(started);
      return started;
    },
  };
}

/** A service of configuration alone: one section that may refuse, and nothing to mount. */
export async function scene(t: TestContext, first: string, options: SceneOptions = {}): Promise<Scene> {
  return (await sceneHome(t, first)).start(options);
}

/** On the file that is in the home. */
export async function openScene(
  home: string,
  options: SceneOptions = {},
  file = "config.toml",
): Promise<Scene> {
  const { wrap = (file) => file, appliers = [], approvals = false } = options;
  const { startReader = readersInProcess(), bindSecrets = async (each) => each } = options;
  const { requirePrivate = async () => {} } = options;
  const path = join(home, file);
  const homeContext = findHomeContext({ HOME: join(home, ".."), MOUNTAINEER_HOME: home });
  const loaded = await parseConfig(await readConfigBytes(path), path, homeContext);
  assert.ok(loaded.ok);
  const transitions: ServiceTransition[] = [];
  const publish = (transition: ServiceTransition): void => void transitions.push(transition);
  const streamed: { id: number; event: StreamEvent }[] = [];
  const stream = createEventStream({ onListenerError: assert.ifError });
  stream.listen(null, (id, event) => streamed.push({ id, event }));
  const logger = createRecordingLogger();
  const { approvalStore, snapshot } = await startApprovals(
    { homeContext, environment: {}, snapshot: loaded.snapshot, clock, logger, publish, writes: approvals },
    NEVER,
  );
  let { config } = snapshot;
  const mood = { refuses: false };
  const committed: number[] = [];
  const section: ConfigApplier = {
    name: "moody",
    async prepare({ after }) {
      if (mood.refuses) throw new Error("not now");
      return {
        commit() {
          config = after;
          committed.push(after.global.connectTimeoutMs);
        },
      };
    },
  };
  const service = createConfigService({
    home,
    homeContext,
    snapshot,
    loadedFile: loaded.snapshot,
    approvals: approvalStore,
    rejected: null,
    bindSecrets,
    requirePrivate,
    file: wrap(createLocalFile(path, readConfigBytes)),
    realPath: ownRealPath,
    appliers: [section, ...appliers],
    clock,
    logger,
    stream,
    publish,
    startReader,
  });
  await service.start();
  let ended: Promise<void> | null = null;
  return {
    path,
    home,
    service,
    transitions,
    streamed,
    mood,
    committed,
    config: () => config,
    conditions: () => approvalStore.conditions(),
    logger,
    edit: (key, value) =>
      service.control.edit({ edits: [{ key, value }], source: "test" }, NEVER, OWNER_RIGHTS),
    stop() {
      ended ??= (async () => {
        await service[Symbol.asyncDispose]();
        await approvalStore[Symbol.asyncDispose]();
      })();
      return ended;
    },
  };
}
