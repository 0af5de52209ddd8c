import assert from "node:assert/strict";
import { test } from "node:test";
import { isoTime } from "../../../src/runtime/time/clock.ts";
import { createConditionLog } from "../../../src/shares/engine/share-engine.ts";
import { createProbeTimeouts } from "../../../src/shares/engine/share-subject.ts";
import type { ShareCondition } from "../../../src/shares/policy/decide.ts";
import { pluck } from "../../support/pluck.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";

const missing: ShareCondition = {
  code: "variable_missing",
  severity: "error",
  title: "The password is missing: NAS_PASSWORD is not set",
  hint: "Set it.",
  since: isoTime(0),
};
const slow: ShareCondition = { ...missing, code: "route_slow", severity: "warning" };

test("What to mount: the log reports at once the fault of a share, once, and its end", () => {
  const logger = createRecordingLogger();
  const log = createConditionLog(logger);
  log.report("CORE", [missing, slow]);
  log.report("CORE", [{ ...missing, since: isoTime(5) }]);
  log.report("MEDIA", [missing]);
  log.report("CORE", []);
  log.report("CORE", [missing]);
  log.report("CORE", [{ ...missing, title: "another variable" }]);
  log.report("CORE", [{ ...missing, title: "another variable 2" }]);
  log.report("CORE", [{ ...missing, title: "another variable 3" }]);
  const about = { code: missing.code, reason: missing.title };
  const told = logger.lines.map(({ level, message, fields }) => ({ level, message, fields }));
  const begun = (share: string) => ({
    level: "error",
    message: "share.condition",
    fields: { share, ...about, hint: missing.hint },
  });
  assert.deepEqual(told, [
    begun("CORE"),
    begun("MEDIA"),
    { level: "info", message: "share.condition_over", fields: { share: "CORE", ...about } },
    begun("CORE"),
    { level: "info", message: "share.condition_over", fields: { share: "CORE", ...about } },
    { ...begun("CORE"), fields: { ...begun("CORE").fields, reason: "another variable" } },
    {
      level: "info",
      message: "share.condition_over",
      fields: { ...about, share: "CORE", reason: "another variable" },
    },
    { ...begun("CORE"), fields: { ...begun("CORE").fields, reason: "another variable 2" } },
  ]);
});

const USUAL = Number.POSITIVE_INFINITY;
const CALM = {
  phase: "serving",
  route: "tb",
  isSuspected: false,
  tookMs: { tb: null, fallback: 20 },
} as const;

test("A10 in calm no host is hurried, when unverified only the one in use", () => {
  const hurry = createProbeTimeouts();
  assert.deepEqual(hurry(CALM), {});
  assert.deepEqual(hurry({ ...CALM, isSuspected: true }), { tb: 300 });
  assert.deepEqual(hurry({ ...CALM, phase: null, route: null, isSuspected: true }), {});
});

test("A10 while programs wait both hosts are hurried, and those that are slow get a chance now and then", () => {
  const hurry = createProbeTimeouts();
  const looks = Array.from({ length: 8 }, () => hurry({ ...CALM, phase: "waiting" }));
  assert.deepEqual(pluck(looks, "tb"), [300, 300, 300, USUAL, 300, 300, 300, USUAL]);
  assert.ok(looks.every(({ tb, fallback }) => tb === fallback));
  assert.deepEqual(hurry({ ...CALM, phase: "serving" }), {}, "their patience is over");
});

test("A10 a host that is slow keeps its time, as long as it answers", () => {
  const hurry = createProbeTimeouts();
  const waiting = { ...CALM, phase: "waiting" } as const;
  const tookMs = { tb: null, fallback: 500 };
  assert.deepEqual(hurry({ ...waiting, tookMs }), { tb: 300, fallback: USUAL });
  assert.deepEqual(hurry({ ...waiting, tookMs }), { tb: 300, fallback: USUAL });
  assert.deepEqual(hurry(waiting), { tb: 300, fallback: 300 });
});
