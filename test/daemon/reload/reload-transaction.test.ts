import assert from "node:assert/strict";
import test from "node:test";
import type { ConfigApplier, PreparedChange } from "../../../src/daemon/reload/reload-transaction.ts";
import { applyChange } from "../../../src/daemon/reload/reload-transaction.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { assertEach } from "../../support/assert-each.ts";
import { eventually } from "../../support/eventually.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";
import { changeOf } from "../samples.ts";

const change = await changeOf("", "[global]\nauto_failback = true\n");
const NEVER = new AbortController().signal;

type Step = "prepare" | keyof PreparedChange;

/** A section that notes what is done with it, and fails where it is told to. */
function section(name: string, notes: string[], fails: Partial<Record<Step, Error>> = {}): ConfigApplier {
  const note = (what: Step): void => {
    notes.push(`${what} ${name}`);
    const error = fails[what];
    if (error !== undefined) throw error;
  };
  return {
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
}

interface Story {
  readonly title: string;
  /** Of the sections shares, sync and gateway. */
  readonly fails: readonly Partial<Record<Step, Error>>[];
  readonly notes: readonly string[];
  /** Absent: it resolves. */
  readonly rejects?: object;
  /** Level, message, section and reason of what is logged. */
  readonly logs?: readonly (readonly [string, string, string, string])[];
}

const NAMES = ["shares", "sync", "gateway"];
const each = (what: Step, names: readonly string[] = NAMES): string[] =>
  names.map((name) => `${what} ${name}`);
const DONE = [...each("prepare"), ...each("commit"), ...each("retire")];
const TAKEN = new MountaineerError("path_taken", "the port is taken", { hint: "choose another" });

const STORIES: readonly Story[] = [
  {
    title: "B6 sections prepare in order, then all commit, then what was replaced retires",
    fails: [],
    notes: DONE,
  },
  {
    title:
      "B6 one that cannot prepare rolls back those before it, the last one first, and nothing is committed",
    fails: [{}, {}, { prepare: TAKEN }],
    notes: [...each("prepare"), ...each("rollback", ["sync", "shares"])],
    rejects: {
      code: "path_taken",
      message: "gateway: the port is taken",
      hint: "choose another",
      retry: "later",
      cause: TAKEN,
    },
  },
  {
    title: "B6 those after one that cannot prepare are not asked; what is no error of ours is told as one",
    fails: [{ prepare: new TypeError("undefined is not a port") }],
    notes: ["prepare shares"],
    rejects: { code: "internal", message: "shares: undefined is not a port" },
  },
  {
    title: "a rollback that fails is logged, and the others are rolled back all the same",
    fails: [{}, { rollback: new Error("stuck") }, { prepare: new Error("no") }],
    notes: [...each("prepare"), ...each("rollback", ["sync", "shares"])],
    rejects: { message: "gateway: no" },
    logs: [["warn", "a reload was not rolled back cleanly", "sync", "stuck"]],
  },
  {
    title: "what fails to retire is logged and holds back nothing",
    fails: [{ retire: new Error("stuck") }],
    notes: DONE,
    logs: [["warn", "what a reload replaced did not end cleanly", "shares", "stuck"]],
  },
  {
    title:
      "a commit that fails against its contract is an error in the log, and the others commit: there is no way back",
    fails: [{ commit: new Error("a mistake") }],
    notes: DONE,
    logs: [["error", "a section did not commit cleanly", "shares", "a mistake"]],
  },
];

for (const { title, fails, notes: expected, rejects, logs = [] } of STORIES)
  test(title, async () => {
    const notes: string[] = [];
    const logger = createRecordingLogger();
    const appliers = NAMES.map((name, index) => section(name, notes, fails[index]));
    const applied = applyChange(appliers, change, logger, NEVER);
    if (rejects === undefined) await applied;
    else await assert.rejects(applied, rejects);
    await eventually(() => logger.lines.length === logs.length);
    assert.deepEqual(notes, expected);
    assertEach(
      logger.lines,
      ({ level, message, fields }) => [level, message, fields["section"], fields["reason"]],
      logs,
    );
  });

test("what throws at once when it retires is logged, too", async () => {
  const logger = createRecordingLogger();
  const retire = (): never => {
    throw new Error("gone before");
  };
  const atOnce: ConfigApplier = { name: "at-once", prepare: async () => ({ commit: () => {}, retire }) };
  await applyChange([atOnce], change, logger, NEVER);
  await eventually(() => logger.lines[0]?.fields["reason"] === "gone before");
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
