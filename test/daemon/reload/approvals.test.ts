// A service of configuration with approvals: what waits, what serves meanwhile, and what a person's yes does.

import assert from "node:assert/strict";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { OWNER_RIGHTS } from "../../../src/api/operations/operation.ts";
import type { ConfigEditWire } from "../../../src/api/operations/requests.ts";
import { assertEach } from "../../support/assert-each.ts";
import { eventually } from "../../support/eventually.ts";
import { NEVER, type Scene, sceneHome } from "./config-scene.ts";

const VISITOR = { isOwner: false, runsCommands: false, isOwnersTab: false };
const SYNC = "[sync]\npoll_interval = 0.05\ndebounce = 0.05\n";
const files = (command: string): string => `[backends.files]\ncommand = "${command}"\nargs = ["/"]\n`;
const other = (command: string): string => `[backends.other]\ncommand = "${command}"\ncwd = "/srv"\n`;

/** Commands that run now, as the gateway was last told. */
const runs = ({ config }: Scene): readonly string[] =>
  config()
    .backends.filter(({ enabled }) => enabled)
    .map(({ connection }) => (connection.type === "stdio" ? connection.command : connection.url));

async function homeOf(t: TestContext, first: string) {
  const home = await sceneHome(t, first);
  return { ...home, start: () => home.start({ approvals: true }) };
}

async function synced({ service }: Scene, generation: number): Promise<void> {
  await eventually(() => service.control.sync().events.at(-1)?.generation === generation);
}

/** A daemon whose file had "serve", and has another command, which waits. */
async function edited(t: TestContext, command: string) {
  const home = await homeOf(t, SYNC + files("serve"));
  const daemon = await home.start();
  await writeFile(home.path, SYNC + files(command));
  await synced(daemon, 2);
  return { home, daemon };
}

async function approve({ service }: Scene, ...ids: string[]) {
  const { waiting } = service.control.approvals();
  const entries = waiting
    .filter(({ id }) => ids.length === 0 || ids.includes(id))
    .map(({ id, digest }) => ({ id, digest }));
  return service.control.approve({ entries });
}

test("E2 B8 an edit from outside applies at once, except for the waiting entry, and is one event with the file's hash", async (t) => {
  const home = await homeOf(t, SYNC + files("serve"));
  const daemon = await home.start();
  assert.deepEqual(runs(daemon), ["serve"]);
  const text = `${SYNC}${files("evil")}${other("rm")}[global]\nconnect_timeout_ms = 801\n`;
  await writeFile(home.path, text);
  await synced(daemon, 2);
  assert.deepEqual(runs(daemon), ["serve"]);
  const { sha256, events } = daemon.service.control.sync();
  const report = await daemon.service.control.config(null, NEVER);
  assert.equal(sha256, report.sha256, "the file's hash is the running one");
  assertEach(events, ({ type, details }) => [type, details], [
    ["changed", "1 server reloaded, 2 entries wait for approval"],
  ]);
  assert.deepEqual(
    daemon.transitions.filter(({ name }) => name === "config.entry_waits"),
    [
      {
        name: "config.entry_waits",
        entry: "backends.files",
        kind: "runs",
        summary: "server files would run evil / instead",
      },
      {
        name: "config.entry_waits",
        entry: "backends.other",
        kind: "runs",
        summary: "server other would run rm",
      },
    ],
  );
  assertEach(daemon.conditions(), ({ code, hint }) => [code, hint], [
    ["waiting_for_approval", "mountaineer approve backends.files"],
    ["waiting_for_approval", "mountaineer approve backends.other"],
  ]);
  await writeFile(home.path, `${text}# a comment\n`);
  await eventually(() => daemon.service.control.sync().events.length === 2);
  const [, second] = daemon.service.control.sync().events;
  assert.deepEqual([second?.type, second?.details], ["no-change", "no changes"]);
  assert.equal(daemon.transitions.filter(({ name }) => name === "config.entry_waits").length, 2, "told once");
});

test("E2 an edit that changes only waiting entries is a change that says so", async (t) => {
  const { home, daemon } = await edited(t, "evil");
  assert.equal(daemon.service.control.sync().events.at(-1)?.details, "1 entry waits for approval");
  await writeFile(home.path, SYNC + files("serve"));
  await synced(daemon, 3);
  assert.equal(daemon.service.control.sync().events.at(-1)?.details, "nothing waits for approval now");
  assert.deepEqual(daemon.conditions(), []);
});

test("E2 an approval covers the shown version, and nothing later", async (t) => {
  const { home, daemon } = await edited(t, "good");
  const [shown] = daemon.service.control.approvals().waiting;
  assert.ok(shown !== undefined);
  await writeFile(home.path, SYNC + files("evil"));
  await synced(daemon, 3);
  const { id, digest } = shown;
  await assert.rejects(daemon.service.control.approve({ entries: [{ id, digest }] }), {
    code: "config_changed",
  });
  await assert.rejects(daemon.service.control.approve({ entries: [{ id: "backends.none", digest }] }), {
    code: "entry_unknown",
  });
  assert.deepEqual(runs(daemon), ["serve"]);
});

test("E2 over HTTP an entry that is switched off or removed without the right to commands stays so, and nothing is approved by it", async (t) => {
  for (const isWhole of [false, true]) {
    const both = SYNC + files("serve") + other("rm");
    const home = await homeOf(t, both);
    const daemon = await home.start();
    const { control } = daemon.service;
    const off = both.replace('"rm"\n', '"rm"\nenabled = false\n');
    const save = async (edit: ConfigEditWire, text: string) => {
      const { sha256 } = await control.config(null, NEVER);
      if (isWhole) return control.editText({ text, expected_sha256: sha256, source: "web" }, NEVER, VISITOR);
      return control.edit({ edits: [edit], source: "web" }, NEVER, VISITOR);
    };
    await save({ key: "backends.other.enabled", value: "false" }, off);
    assert.deepEqual(runs(daemon), ["serve"]);
    await writeFile(home.path, both);
    await synced(daemon, 3);
    assert.deepEqual(runs(daemon), ["serve"], "nobody else switches it on");
    await writeFile(home.path, off);
    await eventually(() => control.approvals().waiting.length === 0);
    await save({ key: "backends.other.command", value: "evil" }, off.replace('"rm"', '"evil"'));
    const on = [{ key: "backends.other.enabled", value: null }];
    await control.edit({ edits: on, source: "test" }, NEVER, OWNER_RIGHTS);
    assert.deepEqual(runs(daemon), ["serve"], "its person was not shown that command");
    const command = [{ key: "backends.other.command", value: "rm" }];
    await control.edit({ edits: command, source: "test" }, NEVER, OWNER_RIGHTS);
    await approve(daemon, "backends.other");
    assert.deepEqual(runs(daemon), ["serve", "rm"]);
    await save({ remove: "backends", name: "other" }, SYNC + files("serve"));
    await daemon.stop();
    await writeFile(home.path, both);
    assert.deepEqual(runs(await home.start()), ["serve"], "nor brings it back");
  }
});

test("E2 over HTTP an entry that is switched off and changed in one edit is not approved when it is switched on", async (t) => {
  const home = await homeOf(t, SYNC + files("serve") + other("rm"));
  const daemon = await home.start();
  const edits = [
    { key: "backends.other.enabled", value: "false" },
    { key: "backends.other.command", value: "evil" },
  ];
  await daemon.service.control.edit({ edits, source: "web" }, NEVER, VISITOR);
  const on = [{ key: "backends.other.enabled", value: null }];
  await daemon.service.control.edit({ edits: on, source: "test" }, NEVER, OWNER_RIGHTS);
  assert.deepEqual(runs(daemon), ["serve"]);
});

test("E2 a dry run shows the entries that would wait, and remembers nothing", async (t) => {
  const home = await homeOf(t, `${SYNC}enabled = false\n${files("serve")}`);
  const daemon = await home.start();
  await writeFile(home.path, `${SYNC}enabled = false\n${files("serve")}${other("rm")}`);
  const report = await daemon.service.control.reload({ dry_run: true }, NEVER);
  assert.deepEqual(report.waiting, ["backends.other"]);
  const checked = await daemon.service.control.checkConfig(
    { text: await readFile(home.path, "utf8") },
    NEVER,
  );
  assert.deepEqual([checked.mistakes, checked.waits_for_approval], [[], ["backends.other"]]);
  assert.deepEqual([runs(daemon), daemon.service.control.approvals().waiting], [["serve"], []]);
  const done = await daemon.service.control.reload({}, NEVER);
  assert.deepEqual(done.waiting, ["backends.other"]);
});

test("E2 while no backend reaches the home, nothing is remembered, and edits apply as usual", async (t) => {
  const home = await homeOf(t, SYNC + other("calm"));
  const daemon = await home.start();
  await writeFile(home.path, SYNC + other("calmer"));
  await synced(daemon, 2);
  assert.deepEqual(runs(daemon), ["calmer"]);
  await daemon.stop();
  await assert.rejects(readFile(join(home.home, "approvals.sealed")), { code: "ENOENT" });
  const next = await home.start();
  const edits = [
    { key: "backends.other.args", value: '["/"]' },
    { key: "backends.other.command", value: "wide" },
  ];
  await next.service.control.edit({ edits, source: "test" }, NEVER, OWNER_RIGHTS);
  assert.deepEqual(runs(next), ["wide"], "the edit with which it begins was a person's");
  assert.equal(next.service.control.approvals().mode, "commands");
});

for (const [how, spoil] of [
  ["removed", (path: string) => rm(path)],
  [
    "changed",
    async (path: string) => writeFile(path, (await readFile(path, "utf8")).replaceAll("serve", "evil")),
  ],
  ["emptied", (path: string) => writeFile(path, "")],
] as const) {
  test(`E2 approvals that were ${how} while no daemon ran approve nothing, say so, and are given again`, async (t) => {
    const home = await homeOf(t, SYNC + files("serve"));
    await (await home.start()).stop();
    await spoil(join(home.home, "approvals.sealed"));
    const file = `${SYNC}${files("evil")}[trust]\napprove = "none"\n`;
    await writeFile(home.path, file);
    const daemon = await home.start();
    assert.deepEqual(runs(daemon), []);
    assertEach(daemon.conditions(), ({ code }) => code, [
      "approvals_lost",
      "waiting_for_approval",
      "waiting_for_approval",
    ]);
    assert.deepEqual(daemon.service.control.approvals().mode, "commands");
    const edits = [{ key: "backends.files.enabled", value: "false" }];
    assert.equal(
      (await daemon.service.control.edit({ edits, source: "http" }, NEVER, VISITOR)).changed,
      true,
    );
    assert.equal(daemon.conditions()[0]?.code, "approvals_lost", "a visitor's edit does not replace them");
    await daemon.stop();
    await writeFile(home.path, file);
    const next = await home.start();
    assert.deepEqual(runs(next), [], "nor the next time");
    await approve(next, "backends.files");
    assert.deepEqual(runs(next), ["evil"]);
  });
}

test("E2 a kill between the approval and its application leaves it approved", async (t) => {
  const { home, daemon } = await edited(t, "better");
  const sealed = join(home.home, "approvals.sealed");
  const before = await readFile(sealed, "utf8");
  await approve(daemon);
  const after = await readFile(sealed, "utf8");
  assert.notEqual(before, after);
  assert.match(after, /"better"/);
  await daemon.stop();
  assert.deepEqual(runs(await home.start()), ["better"]);
});

test("E2 an approval that cannot be saved is refused, and its entry does not run", async (t) => {
  const { home, daemon } = await edited(t, "better");
  const sealed = join(home.home, "approvals.sealed");
  await rm(sealed);
  await mkdir(join(sealed, "in the way"), { recursive: true });
  await assert.rejects(approve(daemon));
  assert.deepEqual(runs(daemon), ["serve"]);
});

test("E2 an approval that cannot be applied leaves nothing: not later, and not after a restart", async (t) => {
  const { home, daemon } = await edited(t, "better");
  daemon.mood.refuses = true;
  await assert.rejects(approve(daemon), /nothing was approved: moody: not now/);
  daemon.mood.refuses = false;
  await daemon.service.judgeAgain();
  assert.deepEqual(runs(daemon), ["serve"]);
  await daemon.stop();
  const next = await home.start();
  assertEach(next.service.control.approvals().waiting, ({ id }) => id, ["backends.files"]);
  await approve(next);
  assert.deepEqual(runs(next), ["better"]);
});
