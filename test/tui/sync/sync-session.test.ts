import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { ConnectionStatus, DaemonConnection } from "../../../src/api/client/daemon-connection.ts";
import type { FollowNotice } from "../../../src/api/client/follow-daemon.ts";
import type { EditReport, ReloadReport, SyncEvent, SyncReport } from "../../../src/api/contract/config.ts";
import type { StreamEvent } from "../../../src/api/contract/contract.ts";
import { type Control, callerOf, type InputOf } from "../../../src/api/operations/operations.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { createStore } from "../../../src/runtime/store.ts";
import { createSyncScreen, shareHeight } from "../../../src/tui/sync/sync-screen.ts";
import { startSyncSession, unseenEvents } from "../../../src/tui/sync/sync-session.ts";
import type { KeyName } from "../../../src/tui/terminal/key.ts";
import { lineColumns } from "../../../src/tui/terminal/line.ts";
import { sampleConfig, sampleEdit, sampleReload, sampleSyncEvent } from "../../api/sample-config.ts";
import { eventually } from "../../support/eventually.ts";
import { fc } from "../../support/properties.ts";
import { sampleStatus, textOf, viewOf } from "../views.ts";

function event(id: number, over: Partial<SyncEvent> = {}): SyncEvent {
  const iso = new Date(Date.UTC(2026, 0, 1, 0, 0, id)).toISOString();
  const time = iso.slice(11, 19);
  return sampleSyncEvent({ id, iso, time, generation: id, details: `change ${id}`, ...over });
}

const RELOADED = sampleReload({ generation: 2, sha256: "after" });
const EDITED = sampleEdit({ sha256: "after", reload: RELOADED });

/** A session, and the daemon that it follows. */
function scripted(over: Partial<Pick<Control, "config" | "edit" | "reload">> = {}) {
  const asked: unknown[] = [];
  let text = "[sync]\nenabled = true\n";
  let sha256 = "before";
  let report: SyncReport = { ...sampleStatus({ sha256 }), events: [] };
  const stop = new AbortController();
  const connection = createStore<ConnectionStatus>({ kind: "connected" });
  let listener: ((notice: FollowNotice) => void) | null = null;
  const call = callerOf({
    sync: () => report,
    config: () => sampleConfig({ sha256, text, running_sha256: sha256 }),
    edit(request: InputOf<"edit">) {
      asked.push(request);
      text = text.replace("true", "false");
      sha256 = "after";
      return EDITED;
    },
    reload() {
      asked.push("reload");
      return RELOADED;
    },
    ...over,
  }) as DaemonConnection["call"];
  const listen: DaemonConnection["listen"] = (given) => {
    listener = given;
    return () => {
      listener = null;
    };
  };
  const session = startSyncSession({
    link: { call, connection, listen },
    configPath: null,
    signal: stop.signal,
  });
  const press = (...names: readonly (KeyName | " ")[]): void => {
    for (const name of names) {
      session.onKey(name === " " ? { kind: "character", text: " " } : { kind: "named", name });
    }
  };
  /** The daemon's report is another one now, and an event announces it. */
  const notify = (event: StreamEvent): void => listener?.({ kind: "event", id: 1, event });
  const reports = (next: Partial<SyncReport>): void => {
    report = { ...report, ...next };
    notify({ kind: "gap" });
  };
  return {
    session,
    notify,
    reports,
    asked,
    stop,
    press,
    isHeard: () => listener !== null,
    async ready(): Promise<void> {
      reports({});
      await eventually(() => session.panel.get().file !== null);
    },
  };
}

test("B8 each event is one row, over replays, gaps and restarts of the daemon", async () => {
  const { session, reports, stop, isHeard } = scripted();
  const details = (): string[] => session.rows.get().map((row) => row.details);
  reports({ events: [event(1), event(2)] });
  reports({ events: [event(1), event(2), event(3)] });
  await eventually(() => details().length === 3);
  reports({ events: [event(2), event(3), event(4)] });
  await eventually(() => details().length === 4);
  assert.deepEqual(details(), ["change 1", "change 2", "change 3", "change 4"]);
  reports({ events: [] });
  reports({ events: [event(1, { iso: "2026-03-01T00:00:00.000Z", details: "of the next daemon" })] });
  await eventually(() => details().at(-1) === "of the next daemon");
  assert.equal(details().length, 5);
  stop.abort();
  await session.ended;
  assert.equal(isHeard(), false);
});

test("B9 a save is one edit of the changed keys, over the content that was read", async () => {
  const { session, asked, press, ready } = scripted();
  await ready();
  press("tab", " ", "save");
  await eventually(() => session.panel.get().notice?.kind === "saved");
  assert.deepEqual(asked, [
    { edits: [{ key: "sync.enabled", value: "false" }], expected_sha256: "before", source: "tui" },
  ]);
  assert.deepEqual(session.panel.get().notice, {
    kind: "saved",
    applied: null,
    lines: ["-enabled = true", "+enabled = false"],
  });
});

test("B9 a user who leaves during a save learns its result", async () => {
  const answer = Promise.withResolvers<EditReport>();
  const { session, press, ready } = scripted({ edit: () => answer.promise });
  await ready();
  assert.equal(await session.saved(), null, "nothing is under way");
  press("tab", " ", "save");
  const saved = session.saved();
  let isKnown = false;
  void saved.then(() => {
    isKnown = true;
  });
  await nextTurn();
  assert.equal(isKnown, false);
  answer.resolve(EDITED);
  assert.equal(await saved, null);
});

for (const [code, message, told] of [
  ["config_changed", "another", "the file has changed since it was read"],
  ["config_unwritable", "the disk is full", "the disk is full"],
] as const) {
  test(`B9 a failed save is reported to a user who leaves: ${code}`, async () => {
    const answer = Promise.withResolvers<EditReport>();
    const { session, press, ready } = scripted({ edit: () => answer.promise });
    await ready();
    press("tab", " ", "save");
    const saved = session.saved();
    answer.reject(new MountaineerError(code, message));
    assert.equal(await saved, told);
  });
}

test("B9 a save whose file has changed again shows no lines, which would be of both changes", async () => {
  let reads = 0;
  const { session, press, ready } = scripted({
    config() {
      reads += 1;
      return sampleConfig({ sha256: `read ${reads}`, text: `line ${reads}\n` });
    },
  });
  await ready();
  press("tab", " ", "save");
  await eventually(() => session.panel.get().notice !== null);
  const { notice } = session.panel.get();
  assert.deepEqual(notice?.kind === "saved" && notice.lines, []);
});

test("B8 a change of a share does not cause a read of the file", async () => {
  let reads = 0;
  const { session, ready, notify } = scripted({
    config: () => {
      reads += 1;
      return sampleConfig();
    },
  });
  await ready();
  notify({ kind: "transition", transition: { name: "share.mounted", share: "CORE" } });
  await nextTurn();
  assert.equal(reads, 1);
  notify({ kind: "gap" });
  await eventually(() => reads === 2);
  assert.ok(session.status.get() !== null);
});

test("B9 a change that is saved but not in effect is reported with the reason", async () => {
  const reload: ReloadReport = { ...RELOADED, reloaded: false, failure: "the port is taken" };
  const { session, press, ready } = scripted({ edit: async () => ({ ...EDITED, reload }) });
  await ready();
  press("tab", " ", "save");
  await eventually(() => session.panel.get().notice !== null);
  const { notice } = session.panel.get();
  assert.ok(notice?.kind === "saved");
  assert.equal(notice.applied, "the port is taken");
});

test("B9 a conflict keeps the typed settings; other failures are reported in one line", async () => {
  for (const [code, message] of [
    ["config_changed", "changed meanwhile"],
    ["config_unwritable", "read-only\nsecond line"],
    ["daemon_unreachable", "no daemon"],
  ] as const) {
    const { session, press, ready } = scripted({
      edit: async () => {
        throw new MountaineerError(code, message);
      },
    });
    await ready();
    press("tab", " ", "save");
    await eventually(() => !session.panel.get().saving);
    const panel = session.panel.get();
    assert.equal(panel.form.root.children[0]?.at, 0);
    assert.equal(panel.fileChanged, code === "config_changed");
    assert.equal(await session.saved(), null, "nothing is under way any more");
    const reason = panel.notice?.kind === "failed" ? panel.notice.reason : null;
    const told = { config_changed: null, config_unwritable: "read-only" };
    assert.equal(reason, code === "daemon_unreachable" ? "nothing saved: no daemon" : told[code]);
  }
});

test("B4 an unchanged panel's save reloads when the running configuration differs from the file, and reports a rejection", async () => {
  const mistake = { file: "/c.toml", line: 4, column: 2, path: "x", found: "a", expected: "b", hint: null };
  const { session, reports, press, ready } = scripted({
    reload: async () => ({ ...RELOADED, reloaded: false, errors: [mistake] }),
  });
  await ready();
  reports({ watching: "stopped" });
  await eventually(() => session.status.get()?.watching === "stopped");
  press("save");
  await eventually(() => session.panel.get().notice?.kind === "failed");
  assert.deepEqual(session.panel.get().notice, {
    kind: "failed",
    reason: "/c.toml:4:2: x: found a, expected b",
  });
});

test("reads of the file do not pile up, and the last one counts", async () => {
  let reads = 0;
  let running = 0;
  let most = 0;
  const { session, reports } = scripted({
    async config() {
      running += 1;
      most = Math.max(most, running);
      const mine = ++reads;
      await nextTurn();
      running -= 1;
      return sampleConfig({ sha256: `read ${mine}` });
    },
  });
  for (let id = 1; id <= 50; id += 1) reports({ events: [event(id)] });
  await eventually(() => reads > 1 && session.panel.get().file?.sha256 === `read ${reads}`);
  assert.equal(most, 1);
  assert.ok(reads >= 2 && reads < 10, `${reads} reads`);
});

test("when it is ended, work in progress no longer changes anything", async () => {
  const { session, press, ready, stop } = scripted({
    edit: (_request, signal) =>
      new Promise((_, reject) =>
        signal.addEventListener("abort", () => reject(signal.reason), { once: true }),
      ),
  });
  await ready();
  press("tab", " ", "save");
  const before = session.panel.get();
  stop.abort(new MountaineerError("aborted", "left"));
  await session.ended;
  await nextTurn();
  assert.equal(session.panel.get(), before);
});

test("B8 at every size the screen has each part once, and its hints follow the focus", async () => {
  const { session, reports, press, ready } = scripted();
  await ready();
  reports({ events: [1, 2, 3, 4].map((id) => event(id)) });
  await eventually(() => session.rows.get().length === 4);
  const screen = createSyncScreen(session);
  const parts = [/^Config /, /Hash /, /^Time +Event +Details$/, /^Settings \[sync\]/].concat(
    ["enabled", "poll_interval", "debounce", "detection", "on_failure"].map(
      (name) => new RegExp(`^ {2}${name} `),
    ),
  );
  for (const [width, height] of [
    [60, 13],
    [61, 14],
    [80, 22],
    [120, 13],
    [60, 38],
    [200, 58],
  ] as const) {
    const drawn = screen.draw({ ...viewOf(width), height });
    assert.ok(drawn.length <= height && drawn.every((line) => lineColumns(line) <= width));
    const lines = textOf(drawn);
    const count = (mark: RegExp): number => lines.filter((line) => mark.test(line)).length;
    for (const part of parts) assert.equal(count(part), 1, `${part} at ${width}×${height}`);
    const rows = count(/⟳ changed/);
    assert.ok(height >= 22 ? rows === 4 : rows >= 2, `${rows} rows at ${width}×${height}`);
  }
  const hints = (): readonly string[] => screen.hints({ ...viewOf(80), height: 22 });
  assert.deepEqual(hints(), ["Tab settings", "q quit"]);
  press("tab");
  assert.deepEqual(hints(), ["Tab next", "Space toggle", "Ctrl-S save", "Esc revert", "q quit"]);
  assert.equal(screen.warnUnsaved?.(), false);
  press(" ", "tab");
  assert.deepEqual(hints(), ["Tab next", "Ctrl-S save", "Esc revert", "Ctrl-C quit"]);
  assert.equal(screen.warnUnsaved?.(), true);
  assert.match(textOf(screen.draw({ ...viewOf(80), height: 22 })).join("\n"), /not saved: Ctrl-S saves/);
});

test("from the same daemon only later events are new; from another, or beyond the stored ones, all", () => {
  const events = [1, 2, 3].map((id) => event(id));
  const others = events.map((one) => ({ ...one, iso: one.iso.replace("-01-01", "-02-01") }));
  const later = [1001, 1002].map((id) => event(id));
  for (const [given, last, unseen] of [
    [events, null, events],
    [events, event(2), events.slice(2)],
    [events, event(3), []],
    [others, event(57), others],
    [others, event(2), others],
    [later, event(5), later],
  ] as const)
    assert.deepEqual(unseenEvents(given, last), unseen);
});

test("B8 on the smallest terminal there are the panel, the error's place and two rows; on a large one all", () => {
  const parts = { problem: 4, rows: 20, panel: 6 };
  assert.deepEqual(shareHeight(13, { ...parts, status: 2, notice: 0, help: 1 }), {
    ...{ status: 2, problem: 2, table: 3, panel: 6, notice: 0, help: 0, gap: 0 },
  });
  assert.deepEqual(shareHeight(58, { ...parts, status: 1, notice: 8, help: 0 }), {
    ...{ status: 1, problem: 4, table: 21, panel: 6, notice: 8, help: 0, gap: 1 },
  });
});

test("the given heights never exceed the available one", () => {
  const count = fc.integer({ min: 0, max: 40 });
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 80 }), count, count, count, (height, problem, rows, notice) => {
      const parts = { status: 2, problem, rows, panel: 6, notice, help: 1 };
      const given = shareHeight(height, parts);
      const sum =
        given.status + given.problem + given.table + given.panel + given.notice + given.help + 2 * given.gap;
      assert.ok(sum <= height, `${sum} of ${height}`);
      for (const part of Object.values(given)) assert.ok(part >= 0);
      assert.ok(given.problem <= problem && given.notice <= notice && given.table <= 21);
    }),
  );
});
