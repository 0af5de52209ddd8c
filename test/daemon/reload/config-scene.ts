// A service of configuration alone, on a real file, for tests of reloads and edits.
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { StreamEvent } from "../../../src/api/contract.ts";
import { ownRealPath } from "../../../src/config/history/history-owner.ts";
import { findPlace } from "../../../src/config/locate.ts";
import { loadConfig, readConfigBytes } from "../../../src/config/read/load.ts";
import { createEventStream } from "../../../src/daemon/events/event-stream.ts";
import type { ServiceTransition } from "../../../src/daemon/events/service-transitions.ts";
import { type ConfigService, createConfigService } from "../../../src/daemon/reload/config-service.ts";
import type { ConfigApplier } from "../../../src/daemon/reload/reload-transaction.ts";
import { systemClock as clock } from "../../../src/runtime/time/clock.ts";
import type { WatchedFile } from "../../../src/sync/watched-file.ts";
import { createLocalFile } from "../../support/local-file.ts";
import { createRecordingLogger, type RecordingLogger } from "../../support/recording-logger.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const NEVER = new AbortController().signal;

/** A valid configuration that differs in one key. */
export function text(timeoutMs: number, sync = "enabled = false"): string {
  return `[global]\nconnect_timeout_ms = ${timeoutMs}\n[sync]\npoll_interval = 0.05\ndebounce = 0.05\n${sync}\n`;
}

export interface Scene {
  readonly path: string;
  readonly home: string;
  readonly service: ConfigService;
  readonly transitions: ServiceTransition[];
  readonly streamed: StreamEvent[];
  /** While set, the section refuses whatever is offered. */
  readonly mood: { refuses: boolean };
  /** What the engine would run: the time that was committed last. */
  readonly committed: number[];
  readonly logger: RecordingLogger;
  edit(key: string, value: string | null): ReturnType<ConfigService["control"]["edit"]>;
}

/** A service of configuration alone: one section that may refuse, and nothing to mount. */
export async function scene(
  t: TestContext,
  first: string,
  wrap: (file: WatchedFile) => WatchedFile = (file) => file,
  appliers: readonly ConfigApplier[] = [],
): Promise<Scene> {
  const ends: ConfigService[] = [];
  // Registered before the folder's removal, so that it runs before it.
  t.after(async () => {
    for (const service of ends) await service[Symbol.asyncDispose]();
  });
  const home = join(await temporaryFolder(t), "home");
  await mkdir(home);
  const path = join(home, "config.toml");
  await writeFile(path, first);
  const place = findPlace({ HOME: home, MOUNTAINEER_HOME: home });
  const loaded = await loadConfig(path, place);
  assert.ok(loaded.ok);
  const transitions: ServiceTransition[] = [];
  const streamed: StreamEvent[] = [];
  const stream = createEventStream({ onListenerError: assert.ifError });
  stream.listen(null, (_, event) => streamed.push(event));
  const logger = createRecordingLogger();
  const mood = { refuses: false };
  const committed: number[] = [];
  const section: ConfigApplier = {
    name: "moody",
    async prepare({ after }) {
      if (mood.refuses) throw new Error("not now");
      return { commit: () => void committed.push(after.global.connectTimeoutMs) };
    },
  };
  const service = createConfigService({
    home,
    place,
    snapshot: loaded.snapshot,
    file: wrap(createLocalFile(path, readConfigBytes)),
    realPath: ownRealPath,
    appliers: [section, ...appliers],
    clock,
    logger,
    stream,
    publish: (transition) => transitions.push(transition),
  });
  ends.push(service);
  await service.start();
  const edit: Scene["edit"] = (key, value) =>
    service.control.edit({ edits: [{ key, value }], source: "test" }, NEVER);
  return { path, home, service, transitions, streamed, mood, committed, logger, edit };
}
