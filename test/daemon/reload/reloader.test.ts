import assert from "node:assert/strict";
import test from "node:test";
import { createConfigReader } from "../../../src/config/worker/config-reader.ts";
import type { ServiceTransition } from "../../../src/daemon/events/service-transitions.ts";
import type { ConfigApplier } from "../../../src/daemon/reload/config-applier.ts";
import { createReloader, type Reloader } from "../../../src/daemon/reload/reloader.ts";
import { systemClock as clock } from "../../../src/runtime/time/clock.ts";
import { createRecordingLogger, type RecordingLogger } from "../../support/recording-logger.ts";
import { PLACE, sha256, smbShare, snapshotOf } from "../samples.ts";

const NEVER = new AbortController().signal;
const FIRST = "# first\n[global]\ncheck_interval_secs = 1\n";

interface Scene {
  readonly reloader: Reloader;
  readonly transitions: ServiceTransition[];
  readonly kept: string[];
  /** What the engine would run: the interval that was committed last. */
  readonly committed: number[];
  readonly logger: RecordingLogger;
  offer(text: string, source?: string): ReturnType<Reloader["offer"]>;
}

interface SceneOptions {
  readonly appliers?: readonly ConfigApplier[];
  readonly keep?: () => Promise<void>;
}

async function scene({ appliers = [], keep = async () => {} }: SceneOptions = {}): Promise<Scene> {
  const transitions: ServiceTransition[] = [];
  const kept: string[] = [];
  const committed: number[] = [];
  const logger = createRecordingLogger();
  const engine: ConfigApplier = {
    name: "engine",
    prepare: async ({ after }) => ({ commit: () => void committed.push(after.global.checkIntervalMs) }),
  };
  const first = await snapshotOf(FIRST);
  const reader = createConfigReader({ path: first.path, place: PLACE, clock });
  const reloader = createReloader({
    read: (bytes, signal) => reader.load(bytes, signal),
    first,
    appliers: [engine, ...appliers],
    logger,
    publish: (transition) => transitions.push(transition),
    async keep(_, bytes, source, summary) {
      kept.push(`${source} ${summary} ${sha256(bytes).slice(0, 8)}`);
      await keep();
    },
  });
  const offer: Scene["offer"] = (text, source = "file") =>
    reloader.offer({ bytes: Buffer.from(text), snapshot: null, source }, NEVER);
  return { reloader, transitions, kept, committed, logger, offer };
}

const interval = (secs: number): string => `[global]\ncheck_interval_secs = ${secs}\n`;

test("B6 an accepted content runs, is announced and kept, and its report says what it touched", async () => {
  const { reloader, transitions, kept, committed, offer } = await scene();
  const text = `${interval(3)}${smbShare("CORE")}${smbShare("MEDIA")}`;
  assert.deepEqual(await offer(text), {
    reloaded: true,
    dry_run: false,
    generation: 2,
    sha256: sha256(text),
    settings: ["global.check_interval_secs"],
    shares: { added: ["CORE", "MEDIA"], removed: [], changed: [] },
    backends: { added: [], removed: [], changed: [] },
    middleware: [],
    errors: [],
    failure: null,
    summary: "2 shares reloaded",
  });
  assert.equal(reloader.running.sha256, sha256(text));
  assert.deepEqual(committed, [3000]);
  assert.deepEqual(transitions, [
    {
      name: "config.applied",
      source: "file",
      generation: 2,
      sha256: sha256(text),
      summary: "2 shares reloaded",
    },
  ]);
  assert.deepEqual(kept, [`file 2 shares reloaded ${sha256(text).slice(0, 8)}`]);
});

test("B8 other bytes with the same meaning run from now on, and nothing else changes", async () => {
  const { reloader, transitions, kept, committed, offer } = await scene();
  const text = "# another comment\n[global]\ncheck_interval_secs = 1.0\n";
  const report = await offer(text);
  assert.deepEqual(
    {
      reloaded: report.reloaded,
      generation: report.generation,
      summary: report.summary,
      sha256: report.sha256,
    },
    { reloaded: false, generation: 1, summary: "no changes", sha256: sha256(text) },
  );
  assert.equal(reloader.running.sha256, sha256(text));
  assert.deepEqual([transitions, committed], [[], []]);
  assert.deepEqual(kept, [`file no changes ${sha256(text).slice(0, 8)}`]);
});

test("B6 the very bytes that run are kept no second time", async () => {
  const { reloader, kept, offer } = await scene();
  assert.equal((await offer(FIRST)).summary, "no changes");
  assert.deepEqual(kept, []);
  assert.equal(reloader.generation, 1);
});

test("B6 a rejected content leaves what runs untouched, and tells every mistake with its place", async () => {
  const { reloader, transitions, kept, committed, offer } = await scene();
  const before = reloader.running;
  const report = await offer("[global]\ncheck_interval_secs = 'soon'\nauto_failbak = true\n");
  assert.equal(reloader.running, before);
  assert.equal(report.reloaded, false);
  assert.equal(report.sha256, sha256(FIRST), "of what runs");
  assert.deepEqual(
    report.errors.map(({ line, column, path }) => [line, column, path]),
    [
      [2, 23, "global.check_interval_secs"],
      [3, 1, "global.auto_failbak"],
    ],
  );
  assert.equal(report.failure, null);
  assert.match(report.summary, /config\.toml:2:23: global\.check_interval_secs: found .* \(and 1 more\)$/);
  assert.deepEqual([transitions, kept, committed, reloader.generation], [[], [], [], 1]);
});

test("B6 what a section cannot prepare fails the reload whole; the next content is free of it", async () => {
  let refuses = true;
  const gateway: ConfigApplier = {
    name: "gateway",
    async prepare() {
      if (refuses) throw new Error("the port is taken");
      return { commit: () => {} };
    },
  };
  const { reloader, committed, kept, offer } = await scene({ appliers: [gateway] });
  const before = reloader.running;
  const report = await offer(interval(3));
  assert.deepEqual(
    [report.failure, report.reloaded, report.errors, report.summary],
    ["gateway: the port is taken", false, [], "gateway: the port is taken"],
  );
  assert.equal(reloader.running, before);
  assert.deepEqual([committed, kept, reloader.generation], [[], [], 1]);
  refuses = false;
  assert.equal((await offer(interval(4))).reloaded, true);
  assert.deepEqual(committed, [4000]);
});

test("B6 a history that cannot be written is told, and holds back nothing", async () => {
  const { reloader, transitions, logger, offer } = await scene({
    keep: () => Promise.reject(new Error("the disk is full")),
  });
  const report = await offer(interval(3));
  assert.deepEqual([report.reloaded, report.failure, reloader.generation], [true, null, 2]);
  assert.equal(transitions.length, 1);
  assert.deepEqual(logger.lines, [
    {
      level: "warn",
      message: "an accepted configuration could not be kept",
      fields: { reason: "the disk is full" },
    },
  ]);
});

test("B6 offers made at once are taken one after the other, in the order they came", async () => {
  let atOnce = 0;
  let most = 0;
  const slow: ConfigApplier = {
    name: "slow",
    async prepare() {
      atOnce += 1;
      most = Math.max(most, atOnce);
      await clock.sleep(20);
      atOnce -= 1;
      return { commit: () => {} };
    },
  };
  const { reloader, committed, transitions, offer } = await scene({ appliers: [slow] });
  const prepared = await snapshotOf(interval(7));
  const reports = await Promise.all([
    offer(interval(5)),
    offer("[global"),
    offer(interval(6)),
    // Checked already: it would be first if it did not wait its turn.
    reloader.offer({ bytes: Buffer.from(interval(7)), snapshot: prepared, source: "cli" }, NEVER),
  ]);
  assert.deepEqual(
    reports.map(({ reloaded, generation }) => [reloaded, generation]),
    [
      [true, 2],
      [false, 2],
      [true, 3],
      [true, 4],
    ],
  );
  assert.deepEqual(committed, [5000, 6000, 7000]);
  assert.equal(most, 1);
  assert.deepEqual(
    transitions.map((each) => ("source" in each ? each.source : null)),
    ["file", "file", "cli"],
  );
  assert.equal(reloader.running.sha256, sha256(interval(7)));
});

test("B6 a preview tells what an offer would do, and changes nothing", async () => {
  const { reloader, transitions, kept, committed } = await scene();
  const before = reloader.running;
  const preview = (text: string) =>
    reloader.preview({ bytes: Buffer.from(text), snapshot: null, source: "file" }, NEVER);
  const would = await preview(smbShare("CORE"));
  assert.deepEqual(
    [would.dry_run, would.reloaded, would.shares.added, would.summary, would.generation],
    [true, false, ["CORE"], "1 share reloaded", 1],
  );
  const wrong = await preview("[global");
  assert.deepEqual([wrong.dry_run, wrong.errors.length], [true, 1]);
  assert.equal((await preview(FIRST)).summary, "no changes");
  assert.equal(reloader.running, before);
  assert.deepEqual([transitions, kept, committed], [[], [], []]);
});

test("it is busy while a content is offered, and only then", async () => {
  const { reloader, offer } = await scene();
  assert.equal(reloader.busy, false);
  const offers = [offer(interval(5)), offer(interval(6))];
  assert.equal(reloader.busy, true);
  await offers[0];
  assert.equal(reloader.busy, true);
  await offers[1];
  assert.equal(reloader.busy, false);
});

test("an offer whose asker is gone fails, and the one behind it is taken", async () => {
  const { reloader, committed, offer } = await scene();
  const gone = new AbortController();
  const first = reloader.offer(
    { bytes: Buffer.from(interval(5)), snapshot: null, source: "file" },
    gone.signal,
  );
  gone.abort();
  const second = offer(interval(6));
  assert.notEqual((await first).failure, null);
  assert.equal((await second).reloaded, true);
  assert.deepEqual(committed, [6000]);
});
