import assert from "node:assert/strict";
import test from "node:test";
import { createConditionLog } from "../../../src/shares/engine/condition-log.ts";
import type { StandingCondition } from "../../../src/shares/policy/decide.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";

const missing: StandingCondition = {
  code: "variable_missing",
  severity: "error",
  title: "The password is not there: NAS_PASSWORD is not set",
  hint: "Set it.",
  since: 0,
};
const slow: StandingCondition = { ...missing, code: "route_slow", severity: "warning" };

test("What to mount: the log says at once what keeps a share from working, once, and when that is over", () => {
  const logger = createRecordingLogger();
  const log = createConditionLog(logger);
  log.note("CORE", [missing, slow]);
  log.note("CORE", [{ ...missing, since: 5 }]);
  log.note("MEDIA", [missing]);
  log.note("CORE", []);
  log.note("CORE", [missing]);
  log.note("CORE", [{ ...missing, title: "another variable" }]);
  log.note("CORE", [{ ...missing, title: "another variable 2" }]);
  log.note("CORE", [{ ...missing, title: "another variable 3" }]);
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
