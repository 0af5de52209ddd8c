// The old daemon's side of a handover, with real processes in the place of those that follow it.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type Charge, Handover } from "../../../src/daemon/handover/hand-over.ts";
import { handedSessions } from "../../../src/daemon/handover/handed-sessions.ts";
import { openSessionFile } from "../../../src/gateway/front/session/session-file.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";
import { hashOf, recordOf } from "../../support/session-records.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const PROGRAM = join(import.meta.dirname, "fixtures/next-daemon.ts");
const KEEPER = {
  descriptors: [1, 2] as const,
  environment: {},
  takeCharge() {},
  stopHearing() {},
  giveUpCharge() {},
};

async function setUp(
  t: TestContext,
  changes: (folder: string) => number = () => 0,
  unsavedBecause: () => string | null = () => null,
) {
  const folder = await temporaryFolder(t);
  const logger = createRecordingLogger();
  const file = openSessionFile({ path: join(folder, "sessions.jsonl"), clock: systemClock, logger });
  const sessions = handedSessions(file);
  const charge: Charge = {
    mustServe: () => [],
    changes: () => changes(folder),
    unsavedBecause,
    door: () => null,
    lateSessions: () => sessions.late,
    states: () => ({ key: "", generation: 0 }),
    link() {},
    async giveUp() {
      await sessions.handTo(async (session) => handover.successor?.keep(session));
      await sessions.keep(hashOf(1), recordOf(1));
      await sessions.keep(hashOf(2), recordOf(2));
      sessions.drop(hashOf(2));
    },
  };
  const handover: Handover = new Handover({
    program: { command: process.execPath, args: [PROGRAM, folder] },
    keeper: KEEPER,
    charge,
    clock: systemClock,
    logger,
  });
  t.after(async () => {
    await handover[Symbol.asyncDispose]();
    await handover.successor?.kill();
  });
  const first = async (): Promise<number> => Number(await readFile(join(folder, "first"), "utf8"));
  return { folder, handover, first };
}

test("B11 a session that began between two daemons is known to the one that takes over in the end", async (t) => {
  const { folder, handover, first } = await setUp(t);
  const { to } = await handover.begin(new AbortController().signal);
  assert.equal(to, await first());
  const next = await handover.done;
  assert.notEqual(next.pid, to);
  // It took over after all that it was told before.
  assert.equal(await readFile(join(folder, "sessions"), "utf8"), `${hashOf(1)}\n`);
});

test("B11 what a person says while the next daemon starts is known to the one that takes over", async (t) => {
  const { handover, first } = await setUp(t, (folder) => (existsSync(join(folder, "first")) ? 1 : 0));
  const { to } = await handover.begin(new AbortController().signal);
  assert.notEqual(to, await first(), "it started before that was said");
  assert.equal((await handover.done).pid, to);
});

test("B11 where that does not end, the old daemon stays in charge", async (t) => {
  let said = 0;
  const { handover } = await setUp(t, () => said++);
  await assert.rejects(handover.begin(new AbortController().signal), { code: "handover_failed" });
  assert.equal(handover.successor, null);
});

test("B11 A5 what the next daemon could not know of the shares keeps the old one in charge", async (t) => {
  const { handover } = await setUp(
    t,
    () => 0,
    () => "ENOSPC: no space left on device",
  );
  await assert.rejects(handover.begin(new AbortController().signal), /cannot be saved for it: ENOSPC/);
  assert.equal(handover.successor, null);
});
