import assert from "node:assert/strict";
import { readFile, rm, writeFile } from "node:fs/promises";
import test from "node:test";
import { OWNER_RIGHTS } from "../../../src/api/operations/operation.ts";
import { startReaderProcess } from "../../../src/config/worker/reader-process.ts";
import { systemClock as clock } from "../../../src/runtime/time/clock.ts";
import { assertEach } from "../../support/assert-each.ts";
import { eventually } from "../../support/eventually.ts";
import { sha256 } from "../samples.ts";
import { NEVER, scene, text } from "./config-scene.ts";

test("B6 simultaneous reloads are each answered with their own result", async (t) => {
  const { path, service } = await scene(t, text(801));
  const { control } = service;
  for (let round = 2; round <= 6; round += 1) {
    await writeFile(path, text(800 + round));
    const first = control.reload({}, NEVER);
    // Comes in while the first one reads, or offers, or has just ended.
    await clock.sleep(round * 25);
    const reports = await Promise.all([first, control.reload({}, NEVER), control.reload({}, NEVER)]);
    assertEach(
      reports,
      ({ failure, errors, sha256: hash, generation }) => [failure, errors, hash, generation],
      reports.map(() => [null, [], sha256(text(800 + round)), round]),
    );
    assert.equal(reports[0]?.reloaded, true, "the first one did it");
    assert.deepEqual(reports[0]?.settings, ["global.connect_timeout_ms"]);
  }
});

test("B6 an edit that cannot be applied stays in the file, is reported, and applies as soon as possible", async (t) => {
  const on = 'enabled = true\non_failure = "fixed"';
  const { service, mood, edit, path, committed, transitions } = await scene(t, text(801, on));
  mood.refuses = true;
  const report = await edit("global.connect_timeout_ms", "802");
  assert.equal(report.changed, true);
  assert.match(report.reload?.failure ?? "", /moody: not now/);
  assert.match(await readFile(path, "utf8"), /= 802/);
  const { last_error, generation, sha256: running } = service.control.sync();
  assert.deepEqual([last_error?.kind, generation, running], ["failed", 1, sha256(text(801, on))]);
  assert.equal(transitions.filter(({ name }) => name === "config.rejected").length, 1);
  mood.refuses = false;
  await eventually(() => service.control.sync().generation === 2);
  await eventually(() => service.control.sync().last_error === null);
  assert.deepEqual(committed, [802]);
  assert.equal(
    transitions.filter(({ name }) => name === "config.rejected").length,
    1,
    "told once, tried often",
  );
});

test("B3 an edit does not re-create a deleted file with only this one key and so drop every share", async (t) => {
  const { service, path, edit } = await scene(t, text(801));
  await rm(path);
  await assert.rejects(edit("global.check_interval_secs", "3"), { code: "config_unreadable" });
  await assert.rejects(readFile(path), { code: "ENOENT" });
  assert.equal(service.control.sync().generation, 1);
});

test("B6 an edit of a value that another edit has changed is refused, and nothing is written", async (t) => {
  const { service, path } = await scene(t, text(801));
  const { sha256: seen } = await service.control.config(null, NEVER);
  await writeFile(path, text(802));
  await assert.rejects(
    service.control.editText({ text: text(803), expected_sha256: seen, source: "test" }, NEVER, OWNER_RIGHTS),
    { code: "config_changed" },
  );
  assert.equal(await readFile(path, "utf8"), text(802));
});

test("B6 a rollback restores an earlier content, as a separate entry; repeating it adds none", async (t) => {
  const { service, path, edit } = await scene(t, text(801));
  const { control } = service;
  await edit("global.connect_timeout_ms", "802");
  await edit("global.connect_timeout_ms", "803");
  const report = await control.rollback({ n: 2 }, NEVER, OWNER_RIGHTS);
  assert.equal(report.reload?.reloaded, true);
  assert.equal(await readFile(path, "utf8"), text(801));
  await control.rollback({ n: 0 }, NEVER, OWNER_RIGHTS);
  const { entries } = await control.history();
  assertEach(entries, ({ n, source, summary }) => [n, source, summary], [
    [0, "rollback 2", "changed global.connect_timeout_ms"],
    [1, "test", "changed global.connect_timeout_ms"],
    [2, "test", "changed global.connect_timeout_ms"],
    [3, "start", "started"],
  ]);
  assert.equal(await control.historyText({ n: 3 }), text(801));
  await assert.rejects(control.rollback({ n: 9 }, NEVER, OWNER_RIGHTS), { code: "history_unknown" });
});

test("a valid content that was saved by hand and not applied yet is in the history before it is replaced", async (t) => {
  const { service, path, edit } = await scene(t, text(801));
  const { control } = service;
  await edit("global.connect_timeout_ms", "802");
  const told = async () => (await control.history()).entries.map(({ source }) => source);
  await writeFile(path, text(900));
  await control.rollback({ n: 1 }, NEVER, OWNER_RIGHTS);
  assert.equal(await readFile(path, "utf8"), text(801));
  assert.deepEqual(await told(), ["rollback 1", "file", "test", "start"]);
  assert.equal(await control.historyText({ n: 1 }), text(900));
  // What runs comes back over it: it is the newest again.
  await writeFile(path, text(901));
  await control.rollback({ n: 0 }, NEVER, OWNER_RIGHTS);
  assert.equal(await readFile(path, "utf8"), text(801));
  assert.deepEqual((await told()).slice(0, 3), ["rollback 0", "file", "rollback 1"]);
  assert.equal(await control.historyText({ n: 0 }), text(801));
  assert.equal(await control.historyText({ n: 1 }), text(901));
  // An emptied file is nothing to go back to.
  const before = await told();
  await writeFile(path, "");
  await control.rollback({ n: 0 }, NEVER, OWNER_RIGHTS);
  assert.equal(await readFile(path, "utf8"), text(801));
  assert.deepEqual(await told(), before);
});

test("a rollback of an entry or over a file that differs from the one read is refused, and nothing is written", async (t) => {
  const { service, path, edit } = await scene(t, text(801));
  const { control } = service;
  await edit("global.connect_timeout_ms", "802");
  const seen = { n: 1, sha256: sha256(text(801)), expected_sha256: sha256(text(802)) };
  await edit("global.connect_timeout_ms", "803");
  // Entry 1 is another one by now, and so is the file.
  await assert.rejects(control.rollback(seen, NEVER, OWNER_RIGHTS), { code: "config_changed" });
  await assert.rejects(control.rollback({ ...seen, n: 2 }, NEVER, OWNER_RIGHTS), { code: "config_changed" });
  const known = { ...seen, expected_sha256: sha256(text(803)) };
  await assert.rejects(control.rollback(known, NEVER, OWNER_RIGHTS), { code: "config_changed" });
  assert.equal(await readFile(path, "utf8"), text(803));
  // Nor is what stands in the file kept, as nothing replaces it.
  const kept = await control.history();
  await writeFile(path, text(900));
  await assert.rejects(control.rollback({ ...seen, n: 2 }, NEVER, OWNER_RIGHTS), { code: "config_changed" });
  assert.deepEqual(await control.history(), kept);
  await writeFile(path, text(803));
  const now = { ...seen, n: 2, expected_sha256: sha256(text(803)) };
  assert.equal((await control.rollback(now, NEVER, OWNER_RIGHTS)).changed, true);
  assert.equal(await readFile(path, "utf8"), text(801));
});

test("a file that others may write, or whose secret cannot be read, is not applied, and a reload gives the reason", async (t) => {
  let wrong: string | null = null;
  const check = async (): Promise<void> => {
    if (wrong !== null) throw new Error(wrong);
  };
  let secrets: string | null = null;
  const { service, config, path } = await scene(t, text(801), {
    requirePrivate: check,
    async bindSecrets(snapshot) {
      if (secrets !== null) throw new Error(secrets);
      return snapshot;
    },
  });
  secrets = "the keyring is locked";
  assert.match((await service.control.reload({}, NEVER)).failure ?? "", /keyring is locked/);
  secrets = null;
  await writeFile(path, text(802));
  wrong = "others may write it";
  assert.match((await service.control.reload({}, NEVER)).failure ?? "", /others may write it/);
  wrong = null;
  assert.equal((await service.control.reload({ secrets: true }, NEVER)).reloaded, false);
  assert.equal(config().global.connectTimeoutMs, 801, "only secrets are read again");
});

test("a file that has changed since it was loaded is not in the history as the running one", async (t) => {
  const { service } = await scene(t, text(801), {
    wrap: (file) => ({ ...file, read: async () => ({ bytes: Buffer.from(text(900)), inode: "2" }) }),
  });
  assert.deepEqual((await service.control.history()).entries, []);
});

test("content read while an edit was saved is read again, so that nothing old runs after it", async (t) => {
  let hold: Promise<void> | null = null;
  const { service, edit } = await scene(t, text(801), {
    wrap: (file) => ({
      ...file,
      async read(signal) {
        const override = hold;
        hold = null;
        const bytes = await file.read(signal);
        await override;
        return bytes;
      },
    }),
  });
  const gate = Promise.withResolvers<void>();
  hold = gate.promise;
  const reload = service.control.reload({}, NEVER);
  await eventually(() => hold === null);
  const edited = await edit("global.connect_timeout_ms", "802");
  assert.equal(edited.reload?.reloaded, true);
  gate.resolve();
  const report = await reload;
  assert.equal(report.sha256, edited.sha256);
  assert.equal(service.watcher.running.snapshot.config.global.connectTimeoutMs, 802);
  assert.equal(service.control.sync().generation, 2);
});

test("B10 nothing is applied after its end, and an edit is refused before it writes", async (t) => {
  const { service, edit, path, committed } = await scene(t, text(801, "enabled = true"));
  const late = edit("global.connect_timeout_ms", "802").catch((error: unknown) => error);
  await service[Symbol.asyncDispose]();
  await late;
  const before = [...committed];
  const override = await readFile(path, "utf8");
  await assert.rejects(edit("global.connect_timeout_ms", "803"), { code: "aborted" });
  assert.equal(await readFile(path, "utf8"), override);
  await writeFile(path, text(804));
  const report = await service.control.reload({}, NEVER);
  assert.match(report.failure ?? "", /ended/);
  assert.deepEqual(committed, before);
});

test("an edit whose caller is gone before its turn is not made", async (t) => {
  const { service, edit, path } = await scene(t, text(801));
  const gone = new AbortController();
  const first = edit("global.connect_timeout_ms", "802");
  const edits = [{ key: "global.connect_timeout_ms", value: "803" }];
  const second = service.control.edit({ edits, source: "test" }, gone.signal, OWNER_RIGHTS);
  gone.abort();
  await assert.rejects(second, { code: "aborted", message: "cancelled; nothing was written" });
  await first;
  // This one's turn is after it.
  await edit("global.check_interval_secs", "3");
  assert.match(await readFile(path, "utf8"), /= 802/);
});

test("an edit whose caller leaves while it is saved is completed: the file's content runs", async (t) => {
  // Read and edited in real processes of their own.
  const { service, edit, path } = await scene(t, text(801), { startReader: startReaderProcess });
  for (const [index, delayMs] of [0, 60, 120, 180].entries()) {
    const value = String(810 + index);
    const leaving = new AbortController();
    const edits = [{ key: "global.connect_timeout_ms", value }];
    const asked = service.control
      .edit({ edits, source: "test" }, leaving.signal, OWNER_RIGHTS)
      .catch(() => {});
    await clock.sleep(delayMs);
    leaving.abort();
    await asked;
    // The next one waits for it.
    await edit("global.check_interval_secs", String(index + 3));
    const loaded = await readFile(path, "utf8");
    assert.match(loaded, new RegExp(`= ${value}`));
    assert.equal(service.watcher.running.snapshot.config.global.connectTimeoutMs, 810 + index);
    assert.equal(service.watcher.running.sha256, sha256(loaded));
  }
});

test("B3 a dry run of a missing file says so", async (t) => {
  const { service, path } = await scene(t, text(801));
  await rm(path);
  await assert.rejects(service.control.reload({ dry_run: true }, NEVER), { code: "config_unreadable" });
});

test("B8 listening UIs get each event with its number, and the state after each change of it", async (t) => {
  const { service, edit, streamed } = await scene(t, text(801));
  await edit("sync.poll_interval", "0.5");
  const events = streamed.flatMap(({ event }) => (event.kind === "sync" ? [event.event] : []));
  assert.deepEqual(events, service.control.sync().events);
  assertEach(events, ({ id, type, generation }) => [id, type, generation], [[1, "changed", 2]]);
  const state = streamed.findLast(({ event }) => event.kind === "sync_state")?.event;
  const { events: _, ...now } = service.control.sync();
  assert.deepEqual(state, { kind: "sync_state", sync: now });
});
