// What a service remembers of approvals: when it writes them, and whom it believes after it could not read them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import type { Approvals, Grant } from "../../../src/config/approval/apply-approvals.ts";
import { findHomeContext } from "../../../src/config/home-context.ts";
import { parseConfig } from "../../../src/config/read/load.ts";
import type { ConfigSnapshot } from "../../../src/config/snapshot.ts";
import type { LoadedApprovals } from "../../../src/daemon/approvals/approvals-file.ts";
import { startApprovals } from "../../../src/daemon/approvals/start-approvals.ts";
import { assertEach } from "../../support/assert-each.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";

const NEVER = new AbortController().signal;
const homeContext = findHomeContext({ HOME: "/home/me", MOUNTAINEER_HOME: "/home/me/.mountaineer" });
const NOTHING: LoadedApprovals = { kind: "known", approvals: null };
const lost = (passes: boolean): LoadedApprovals => ({
  kind: "lost",
  approvals: { mode: "commands", entries: new Map(), order: [] },
  reason: "gone",
  passes,
});
const yesTo = (...ids: string[]): Grant => ({ ids: new Set(ids), loosens: false });

async function read(text: string): Promise<ConfigSnapshot> {
  const loaded = await parseConfig(Buffer.from(text), "/home/me/.mountaineer/config.toml", homeContext);
  assert.ok(loaded.ok);
  return loaded.snapshot;
}

/** Runs `command`, in a file that asks for approvals in `mode`. */
const running = (command: string, mode = "commands"): Promise<ConfigSnapshot> =>
  read(`[trust]\napprove = "${mode}"\n[backends.files]\ncommand = "${command}"\n`);

async function start(disk: LoadedApprovals, { writes = true, mode = "commands" } = {}) {
  const self = { disk, isFull: false, written: [] as (readonly [string, boolean])[] };
  const file = {
    path: "approvals.sealed",
    keyStorage: null,
    read: async () => self.disk,
    async write(approvals: Approvals, advances: boolean) {
      await setImmediate();
      if (self.isFull) throw new Error("disk full");
      self.disk = { kind: "known", approvals };
      const { connection } = approvals.entries.get("backends.files")?.whole ?? {};
      const { command } = { command: "nothing", ...Object(connection) };
      self.written.push([`${approvals.mode} ${command}`, advances]);
    },
  };
  const logger = createRecordingLogger();
  const clock = createManualClock();
  const names: string[] = [];
  const options = {
    ...{ homeContext, environment: {}, snapshot: await running("serve", mode), clock, logger, writes },
    publish: ({ name }: { name: string }) => void names.push(name),
    onGrant: () => void names.push("a person's yes"),
    opened: Promise.resolve({ file, loaded: disk }),
  };
  const { approvalStore } = await startApprovals(options, NEVER);
  /** Judges a file as it is read, and runs what of it may run. */
  const run = async (snapshot: ConfigSnapshot, grant?: Grant): Promise<void> => {
    approvalStore.applied(await approvalStore.judge(snapshot, (await running("serve")).config, grant));
    await approvalStore[Symbol.asyncDispose]();
  };
  return { self, keeper: approvalStore, run, names, logger, clock };
}

test("E2 approvals are written when they change, and an older copy cannot undo a changed mode", async () => {
  const { self, keeper, run } = await start(NOTHING);
  assert.deepEqual(self.written, [["commands serve", true]]);
  await run(await running("serve"));
  await keeper.withdraw();
  assert.deepEqual(self.written.splice(0), [["commands serve", true]], "nothing new");
  await run(await running("serve", "all"));
  await run(await read('[trust]\napprove = "all"\n'));
  assert.deepEqual(self.written, [
    ["all serve", true],
    ["all serve", false],
  ]);
  const calm = await start(NOTHING, { mode: "none" });
  await calm.keeper.judge(await running("serve"), null);
  assert.deepEqual(
    calm.self.written,
    [["commands serve", true]],
    "a home's first are kept before they count",
  );
});

test("E2 a store that only reads writes nothing until it owns the home", async () => {
  const { self, keeper, run } = await start(NOTHING, { writes: false });
  await run(await running("better"), yesTo("backends.files"));
  await keeper.withdraw();
  assert.deepEqual(self.written, []);
  assert.equal(await keeper.takeHome(), false);
  await keeper[Symbol.asyncDispose]();
  assert.deepEqual(self.written, [["commands better", true]]);
});

test("E2 a daemon that takes over re-evaluates entries that the other one approved, or that are unreadable now", async () => {
  const { self, keeper } = await start(NOTHING);
  const { disk } = self;
  assert.equal(await keeper.takeHome(), false, "as it was read");
  for (const [now, judgesAgain, because] of [
    [lost(true), false, null],
    [lost(false), true, "gone"],
    [disk, true, null],
  ] as const) {
    self.disk = now;
    assert.equal(await keeper.takeHome(), judgesAgain);
    assert.equal(keeper.lostBecause, because);
  }
});

test("E2 approvals that cannot be read now are not overwritten, and are read again when possible", async () => {
  const { self, keeper, run } = await start(lost(true));
  assert.deepEqual([keeper.mayPass, keeper.lostBecause], [true, "gone"]);
  await run(await running("serve"));
  await keeper.withdraw();
  assert.equal(await keeper.readAgain(), false);
  assert.deepEqual(self.written, []);
  self.disk = NOTHING;
  assert.equal(await keeper.readAgain(), true);
  assert.deepEqual([keeper.mayPass, keeper.lostBecause, await keeper.readAgain()], [false, null, false]);
  await run(await running("serve"));
  assert.deepEqual(self.written, [["commands serve", true]]);
});

test("E2 lost approvals are reported while something waits, until a person approves again", async () => {
  const { keeper, run } = await start(lost(false));
  assertEach(keeper.conditions(), ({ code }) => code, ["approvals_lost", "waiting_for_approval"]);
  await run(await read('[trust]\napprove = "commands"\n'));
  assert.deepEqual([keeper.conditions(), keeper.lostBecause], [[], "gone"]);
  await run(await running("serve"), yesTo("backends.files"));
  assert.deepEqual([keeper.conditions(), keeper.lostBecause], [[], null]);
});

test("E2 lost approvals date from when they were first reported, however often the status is read", async () => {
  const { keeper, clock } = await start(lost(false));
  const since = () => keeper.conditions().find(({ code }) => code === "approvals_lost")?.since;
  const first = since();
  await clock.advance(60_000);
  assert.deepEqual([since(), first], [first, "2026-01-01T00:00:00.000Z"]);
});

test("E2 an approval that was saved for a change that does not run is withdrawn, and a failed save is reported once", async () => {
  const { self, keeper, names, logger } = await start(NOTHING);
  const yes = async () => keeper.judge(await running("better"), null, yesTo("backends.files"));
  await yes();
  await keeper.withdraw();
  assert.deepEqual(self.written.slice(1), [
    ["commands better", true],
    ["commands serve", true],
  ]);
  assert.deepEqual(names, ["a person's yes", "a person's yes"]);
  await yes();
  self.isFull = true;
  await keeper.withdraw();
  await keeper.withdraw();
  assertEach(logger.lines, ({ message }) => message, ["approvals cannot be written"]);
  assertEach(keeper.conditions(), ({ code }) => code, ["approvals_not_saved"]);
  self.isFull = false;
  await keeper.withdraw();
  assert.deepEqual(keeper.conditions(), []);
});

test("E2 only an entry that a person approved is announced as approved, once it runs; a waiting entry keeps its first time", async () => {
  const { keeper, run, names, clock } = await start(NOTHING);
  await run(await running("better"));
  const [{ since } = {}] = keeper.conditions();
  await clock.advance(1_000);
  await run(await running("better"), yesTo("backends.other"));
  assertEach(keeper.conditions(), (condition) => condition.since, [since]);
  assert.deepEqual(names.splice(0), ["config.entry_waits", "a person's yes"]);
  await run(await running("best"));
  assert.deepEqual(names.splice(0), ["config.entry_waits"], "it is another one");
  await run(await running("serve"));
  assert.deepEqual([names, keeper.waiting], [[], []], "nobody approved it");
  await run(await running("best"), yesTo("backends.files"));
  await run(await running("bad"));
  await run(await running("bad"), yesTo("backends.files"));
  assert.deepEqual(names, [
    "a person's yes",
    "config.entry_waits",
    "a person's yes",
    "config.entry_approved",
  ]);
});
