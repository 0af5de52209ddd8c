// A reload, an edit and a preview, seen by what runs afterwards, what is announced and what the history keeps.
import assert from "node:assert/strict";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { configCheckReportShape } from "../../../src/api/contract/config.ts";
import {
  type AcceptedContent,
  type ConfigHistory,
  openHistory,
} from "../../../src/config/history/history.ts";
import { createBufferedHistory } from "../../../src/daemon/reload/buffered-history.ts";
import type { ConfigApplier } from "../../../src/daemon/reload/reload-transaction.ts";
import { systemClock as clock } from "../../../src/runtime/time/clock.ts";
import { assertEach } from "../../support/assert-each.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { sha256, smbShare } from "../samples.ts";
import { NEVER, type Scene, scene, text } from "./config-scene.ts";

const FIRST = text(801);

async function offer({ path, service }: Scene, content: string) {
  await writeFile(path, content);
  return service.control.reload({}, NEVER);
}

/** Source, summary and hash of what the history keeps, without what ran at the start. */
async function kept({ service }: Scene): Promise<string[]> {
  const { entries } = await service.control.history();
  return entries
    .filter(({ source }) => source !== "start")
    .map(({ source, summary, sha256: hash }) => `${source} ${summary} ${hash.slice(0, 8)}`);
}

test("B6 accepted content runs, is announced and stored, and its report lists its effects", async (t) => {
  const world = await scene(t, FIRST);
  const content = `${text(803)}${smbShare("CORE")}${smbShare("MEDIA")}`;
  assert.deepEqual(await offer(world, content), {
    reloaded: true,
    dry_run: false,
    generation: 2,
    sha256: sha256(content),
    settings: ["global.connect_timeout_ms"],
    shares: { added: ["CORE", "MEDIA"], removed: [], changed: [] },
    backends: { added: [], removed: [], changed: [] },
    middleware: [],
    errors: [],
    failure: null,
    summary: "2 shares reloaded",
  });
  assert.equal(world.service.watcher.running.sha256, sha256(content));
  assert.deepEqual(world.committed, [803]);
  assert.deepEqual(world.transitions, [
    {
      name: "config.applied",
      source: "file",
      generation: 2,
      sha256: sha256(content),
      summary: "2 shares reloaded",
    },
  ]);
  assert.deepEqual(await kept(world), [
    `file added share CORE, share MEDIA; changed global.connect_timeout_ms ${sha256(content).slice(0, 8)}`,
  ]);
});

test("B8 other bytes with the same meaning run from now on, and nothing else changes", async (t) => {
  const world = await scene(t, FIRST);
  const content = `# another comment\n${FIRST}`;
  const { reloaded, generation, summary, sha256: hash } = await offer(world, content);
  assert.deepEqual([reloaded, generation, summary, hash], [false, 1, "no changes", sha256(content)]);
  assert.equal(world.service.watcher.running.sha256, sha256(content));
  assert.deepEqual([world.transitions, world.committed], [[], []]);
  assert.deepEqual(await kept(world), [`file no changes ${sha256(content).slice(0, 8)}`]);
});

test("B6 the very bytes that run are not stored twice", async (t) => {
  const world = await scene(t, FIRST);
  assert.equal((await offer(world, FIRST)).summary, "no changes");
  assert.deepEqual(await kept(world), []);
  assert.equal(world.service.watcher.running.generation, 1);
});

test("B6 rejected content leaves the running configuration untouched, and reports every error with its position", async (t) => {
  const world = await scene(t, FIRST);
  const { watcher } = world.service;
  const before = watcher.running;
  const report = await offer(world, "[global]\ncheck_interval_secs = 'soon'\nauto_failbak = true\n");
  assert.equal(watcher.running, before);
  assert.equal(report.reloaded, false);
  assert.equal(report.sha256, sha256(FIRST), "of what runs");
  assertEach(report.errors, ({ line, column, path }) => [line, column, path], [
    [2, 23, "global.check_interval_secs"],
    [3, 1, "global.auto_failbak"],
  ]);
  assert.equal(report.failure, null);
  assert.match(report.summary, /config\.toml:2:23: global\.check_interval_secs: found .* \(and 1 more\)$/);
  assert.deepEqual([await kept(world), world.committed, watcher.running.generation], [[], [], 1]);
  assertEach(world.transitions, ({ name }) => name, ["config.rejected"]);
});

test("B6 a section that cannot be prepared fails the whole reload; the next content is unaffected", async (t) => {
  const world = await scene(t, FIRST);
  const { watcher } = world.service;
  const before = watcher.running;
  world.mood.refuses = true;
  const report = await offer(world, text(803));
  assert.deepEqual(
    [report.failure, report.reloaded, report.errors, report.summary],
    ["moody: not now", false, [], "moody: not now"],
  );
  assert.equal(watcher.running, before);
  assert.deepEqual([world.committed, await kept(world)], [[], []]);
  world.mood.refuses = false;
  assert.equal((await offer(world, text(804))).reloaded, true);
  assert.deepEqual(world.committed, [804]);
});

test("B6 a failed write of the history is reported, and delays nothing", async (t) => {
  const world = await scene(t, FIRST);
  await rm(join(world.home, "history"), { recursive: true });
  await writeFile(join(world.home, "history"), "in the way");
  const report = await offer(world, text(803));
  assert.deepEqual([report.reloaded, report.failure, report.generation], [true, null, 2]);
  assert.equal(world.transitions.length, 1);
  const told = world.logger.lines.filter(({ message }) =>
    message.endsWith("configuration could not be saved"),
  );
  assertEach(told, ({ level, fields }) => [level, fields["source"]], [["warn", "file"]]);
  assert.notEqual(world.service.historyUnsavedBecause, null);
});

test("B6 simultaneous edits are applied one by one, in order of arrival, and the service is busy until then", async (t) => {
  let atOnce = 0;
  let most = 0;
  const busy: boolean[] = [];
  const slow: ConfigApplier = {
    name: "slow",
    async prepare() {
      atOnce += 1;
      most = Math.max(most, atOnce);
      busy.push(world.service.watcher.busy);
      await clock.sleep(20);
      atOnce -= 1;
      return { commit: () => {} };
    },
  };
  const world = await scene(t, FIRST, { appliers: [slow] });
  const { watcher } = world.service;
  assert.equal(watcher.busy, false);
  const reports = await Promise.all([
    world.edit("global.connect_timeout_ms", "805"),
    world.edit("global.connect_timeout_ms", "soon").catch(({ code }) => code),
    world.edit("global.connect_timeout_ms", "806"),
    world.edit("global.connect_timeout_ms", "807"),
  ]);
  assertEach([reports[0], reports[2], reports[3]], ({ reload }) => [reload?.reloaded, reload?.generation], [
    [true, 2],
    [true, 3],
    [true, 4],
  ]);
  assert.deepEqual(world.committed, [805, 806, 807]);
  assert.deepEqual([most, busy, watcher.busy], [1, [true, true, true], false]);
  assert.equal(watcher.running.sha256, reports[3].sha256);
});

test("B6 a preview reports what a reload would do, and changes nothing", async (t) => {
  const world = await scene(t, FIRST);
  const { control, watcher } = world.service;
  const before = watcher.running;
  const preview = async (content: string) => {
    await writeFile(world.path, content);
    return control.reload({ dry_run: true }, NEVER);
  };
  const would = await preview(`${FIRST}${smbShare("CORE")}`);
  assert.deepEqual(
    [would.dry_run, would.reloaded, would.shares.added, would.summary, would.generation],
    [true, false, ["CORE"], "1 share reloaded", 1],
  );
  const wrong = await preview("[global");
  assert.deepEqual([wrong.dry_run, wrong.errors.length], [true, 1]);
  assert.equal((await preview(FIRST)).summary, "no changes");
  assert.equal(watcher.running, before);
  assert.deepEqual([world.transitions, await kept(world), world.committed], [[], [], []]);
});

test("F2 an editor's text is checked: errors with their positions, or its effects, and nothing is touched", async (t) => {
  const world = await scene(t, FIRST);
  const { control, watcher } = world.service;
  const before = watcher.running;
  const check = (content: string) => control.checkConfig({ text: content }, NEVER);
  const wrong = await check(`${FIRST}[[shares]]\nname = 5\n[glob]\n`);
  assert.equal(wrong.would_change, null);
  assert.deepEqual(wrong.waits_for_approval, []);
  assert.ok(wrong.mistakes.length >= 2, "every mistake is told");
  for (const { line, column, expected } of wrong.mistakes) {
    assert.ok(line > 4 && column >= 1 && expected !== "", JSON.stringify(wrong.mistakes));
  }
  const right = await check(`${FIRST}${smbShare("CORE")}`);
  assert.deepEqual(right.mistakes, []);
  assert.deepEqual(
    [right.would_change?.dry_run, right.would_change?.shares.added, right.would_change?.summary],
    [true, ["CORE"], "1 share reloaded"],
  );
  assert.equal((await check(FIRST)).would_change?.summary, "no changes");
  assert.equal((await check("")).would_change?.failure, null, "an emptied file is one, too");
  assert.equal(configCheckReportShape.faultIn(wrong) ?? configCheckReportShape.faultIn(right), null);
  assert.equal(watcher.running, before);
  assert.equal(await readFile(world.path, "utf8"), FIRST);
  assert.deepEqual([world.transitions, await kept(world), world.committed], [[], [], []]);
});

test("B6 a preview asked for while an edit is saved reads the file after it", async (t) => {
  const { service, edit } = await scene(t, text(801));
  const edited = edit("global.connect_timeout_ms", "802");
  const would = await service.control.reload({ dry_run: true }, NEVER);
  assert.deepEqual([would.settings, would.sha256], [[], (await edited).sha256]);
});

function content(text: string): AcceptedContent {
  const time = "2026-11-20T08:00:00.000Z";
  return {
    bytes: Buffer.from(text),
    sha256: sha256(text),
    format: "toml",
    source: "file",
    summary: text,
    time,
  };
}

test("an entry that cannot be saved is listed all the same, and is saved as soon as possible", async (t) => {
  const home = await temporaryFolder(t);
  const real = openHistory(home, join(home, "config.toml"));
  let isFull = false;
  const full: ConfigHistory = {
    ...real,
    async record(each) {
      if (isFull) throw new Error("no space left");
      return real.record(each);
    },
  };
  const history = createBufferedHistory(full, { clock, logger: createRecordingLogger() });
  const told = async () => (await history.list()).map(({ n, summary }) => `${n} ${summary}`);
  await history.record(content("a"));
  isFull = true;
  for (const name of ["b", "b", "c"]) await history.record(content(name));
  assert.equal(history.unsavedBecause, "no space left");
  assert.deepEqual(await told(), ["0 c", "1 b", "2 a"]);
  assert.equal(Buffer.from((await history.entry(0)).bytes).toString(), "c");
  const { n, summary } = await history.entry(2);
  assert.deepEqual([n, summary], [2, "a"]);
  assert.equal((await real.list()).length, 1);
  isFull = false;
  assert.deepEqual(await told(), ["0 c", "1 b", "2 a"]);
  assert.equal(history.unsavedBecause, null);
  assertEach(await real.list(), (entry) => entry.summary, ["c", "b", "a"]);
  await assert.rejects(history.entry(3), { code: "history_unknown" });
});
