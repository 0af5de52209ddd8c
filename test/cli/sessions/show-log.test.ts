// Lines of the log as `mountaineer logs` filters and shows them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { isAboutShare, logLineJson, renderLogLine } from "../../../src/cli/sessions/show-log.ts";

const line = (fields: object): string =>
  JSON.stringify({ time: "2026-01-02T12:00:00.000Z", level: "info", message: "m", ...fields });

test("a line is about the share that it names, whatever the name's characters", () => {
  for (const share of ["CORE", "Töne 2", 'a "b"', "a\\b", "a\u2028b", "a\u3164b"]) {
    const escaped = line({ share }).replace(
      /[\u2028\u3164]/g,
      (found) => `\\u${found.charCodeAt(0).toString(16)}`,
    );
    assert.equal(isAboutShare(escaped, share), true, share);
    assert.equal(isAboutShare(line({ share: "OTHER", reason: share }), share), false, share);
  }
  assert.equal(isAboutShare('"CORE" crashed', "CORE"), false);
});

test("lines of other programs, or cut off by a crash, are shown unchanged, without their control characters", () => {
  for (const given of [
    "boom",
    line({}).slice(0, -1),
    line({ level: "loud" }),
    line({ time: 1 }),
    line({ message: 1 }),
  ])
    assert.equal(renderLogLine(given, false), `${given}\n`);
  assert.ok(!renderLogLine("\u001b[2Jboom", false).includes("\u001b"));
  assert.match(renderLogLine(line({ time: "then" }), false), /^\?{4}-\?{2}-\?{2} .*m\n$/);
  assert.equal(logLineJson("boom"), '{"time":null,"level":null,"message":"boom"}\n');
});
