import assert from "node:assert/strict";
import test from "node:test";
import type { ConfigApplier, PreparedChange } from "../../../src/daemon/reload/reload-transaction.ts";
import { applyChange } from "../../../src/daemon/reload/reload-transaction.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { eventually } from "../../support/eventually.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";
import { changeOf } from "../samples.ts";

const change = await changeOf("", "[global]\nauto_failback = true\n");
const NEVER = new AbortController().signal;

/** A section that notes what is done with it, and fails where it is told to. */
function section(
  name: string,
  notes: string[],
  fails: Partial<Record<"prepare" | keyof PreparedChange, Error>> = {},
) {
  const note = (what: "prepare" | keyof PreparedChange): void => {
    notes.push(`${what} ${name}`);
    const error = fails[what];
    if (error !== undefined) throw error;
  };
  const applier: ConfigApplier = {
    name,
    async prepare() {
      note("prepare");
      return {
        commit: () => note("commit"),
        retire: async () => note("retire"),
        rollback: async () => note("rollback"),
      };
    },
  };
  return applier;
}

test("B6 sections prepare in order, then all commit, then what was replaced retires", async () => {
  const notes: string[] = [];
  const logger = createRecordingLogger();
  await applyChange([section("shares", notes), section("sync", notes)], change, logger, NEVER);
  assert.deepEqual(notes, [
    "prepare shares",
    "prepare sync",
    "commit shares",
    "commit sync",
    "retire shares",
    "retire sync",
  ]);
  assert.deepEqual(logger.lines, []);
});

test("B6 one that cannot prepare rolls back those before it, the last one first, and nothing is committed", async () => {
  const notes: string[] = [];
  const logger = createRecordingLogger();
  const cause = new MountaineerError("path_taken", "the port is taken", { hint: "choose another" });
  const appliers = [
    section("shares", notes),
    section("sync", notes),
    section("gateway", notes, { prepare: cause }),
    section("never", notes),
  ];
  await assert.rejects(applyChange(appliers, change, logger, NEVER), (error: unknown) => {
    assert.ok(error instanceof MountaineerError);
    assert.deepEqual(
      { code: error.code, message: error.message, hint: error.hint, retry: error.retry, cause: error.cause },
      {
        code: "path_taken",
        message: "gateway: the port is taken",
        hint: "choose another",
        retry: "later",
        cause,
      },
    );
    return true;
  });
  assert.deepEqual(notes, [
    "prepare shares",
    "prepare sync",
    "prepare gateway",
    "rollback sync",
    "rollback shares",
  ]);
});

test("what is no error of ours is told as one, by the section's name", async () => {
  const failing = section("gateway", [], { prepare: new TypeError("undefined is not a port") });
  await assert.rejects(applyChange([failing], change, createRecordingLogger(), NEVER), {
    code: "internal",
    message: "gateway: undefined is not a port",
  });
});

test("a rollback that fails is logged, and the others are rolled back all the same", async () => {
  const notes: string[] = [];
  const logger = createRecordingLogger();
  const appliers = [
    section("shares", notes),
    section("sync", notes, { rollback: new Error("stuck") }),
    section("gateway", notes, { prepare: new Error("no") }),
  ];
  await assert.rejects(applyChange(appliers, change, logger, NEVER), /gateway: no/);
  assert.deepEqual(notes.slice(3), ["rollback sync", "rollback shares"]);
  assert.deepEqual(logger.lines, [
    {
      level: "warn",
      message: "a reload was not rolled back cleanly",
      fields: { section: "sync", reason: "stuck" },
    },
  ]);
});

test("what fails to retire, at once or later, is logged and holds back nothing", async () => {
  const notes: string[] = [];
  const logger = createRecordingLogger();
  const atOnce: ConfigApplier = {
    name: "at-once",
    prepare: async () => ({
      commit: () => {},
      retire() {
        throw new Error("gone before");
      },
    }),
  };
  const appliers = [atOnce, section("shares", notes, { retire: new Error("stuck") }), section("sync", notes)];
  await applyChange(appliers, change, logger, NEVER);
  await eventually(() => logger.lines.length === 2);
  assert.deepEqual(
    logger.lines.map(({ level, fields }) => [level, fields["section"], fields["reason"]]),
    [
      ["warn", "at-once", "gone before"],
      ["warn", "shares", "stuck"],
    ],
  );
  assert.ok(notes.includes("retire sync"));
});

test("nobody waits for what retires", async () => {
  let retired = false;
  const end = Promise.withResolvers<void>();
  const slow: ConfigApplier = {
    name: "slow",
    prepare: async () => ({
      commit: () => {},
      async retire() {
        await end.promise;
        retired = true;
      },
    }),
  };
  await applyChange([slow], change, createRecordingLogger(), NEVER);
  assert.equal(retired, false);
  end.resolve();
  await eventually(() => retired);
});

test("a commit that fails against its contract is an error in the log, and the others commit: there is no way back", async () => {
  const notes: string[] = [];
  const logger = createRecordingLogger();
  const appliers = [section("shares", notes, { commit: new Error("a mistake") }), section("sync", notes)];
  await applyChange(appliers, change, logger, NEVER);
  assert.deepEqual(notes.slice(2, 4), ["commit shares", "commit sync"]);
  assert.deepEqual(logger.lines, [
    {
      level: "error",
      message: "a section did not commit cleanly",
      fields: { section: "shares", reason: "a mistake" },
    },
  ]);
});

test("each section is given the change and the signal as they are", async () => {
  const given: unknown[] = [];
  const applier: ConfigApplier = {
    name: "noting",
    async prepare(...what) {
      given.push(...what);
      return { commit: () => {} };
    },
  };
  const { signal } = new AbortController();
  await applyChange([applier], change, createRecordingLogger(), signal);
  assert.deepEqual(given, [change, signal]);
});
