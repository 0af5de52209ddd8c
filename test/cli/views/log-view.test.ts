import assert from "node:assert/strict";
import test from "node:test";
import { isAboutShare, logLineJson, logRecord, renderLogLine } from "../../../src/cli/views/log-view.ts";
import { jsonLine } from "../../../src/runtime/log/log-lines.ts";

function line(fields: Record<string, string | number | readonly string[]>): string {
  return jsonLine({
    time: "2026-01-02T12:00:00.000Z",
    level: "warn",
    message: "share.failover",
    fields,
  }).trimEnd();
}

test("a line reads as on the daemon's terminal, with its day", () => {
  const text = renderLogLine(line({ share: "CORE", reasons: ["a b", "c"], n: 3 }), false);
  assert.match(
    text,
    /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.000 warn {2}share\.failover share=CORE reasons=\["a b", c\] n=3\n$/,
  );
  assert.ok(renderLogLine(line({}), true).includes("\u001b["));
});

test("what is no record is shown as it is, and moves no cursor", () => {
  for (const text of ["not json", "[1]", "null", '{"time":1}', '{"time":"x","level":"loud","message":"m"}']) {
    assert.equal(logRecord(text), null, text);
    assert.equal(renderLogLine(text, false), `${text}\n`);
  }
  assert.ok(!renderLogLine("a\u001b[2Jb", false).includes("\u001b"));
  const odd = renderLogLine('{"time":"yesterday","level":"info","message":"m","x":{"y":1}}', false);
  assert.match(odd, /^\?{4}/);
});

test("lines belong to a share by their field, not by what else they say", () => {
  assert.ok(isAboutShare(line({ share: "CORE" }), "CORE"));
  assert.ok(isAboutShare(line({ share: 'a"b\\c' }), 'a"b\\c'));
  for (const name of ["ab\u200ecd", "a\u202eb", "Größe 2", "\ufeffa", "a\\u0062"])
    assert.ok(isAboutShare(line({ share: name }), name), JSON.stringify(name));
  assert.ok(!isAboutShare(line({ share: "CORE2", text: "CORE" }), "CORE"));
  assert.ok(!isAboutShare("CORE", "CORE"));
});

test("pin: as JSON every line is an object", () => {
  const whole = line({ share: "CORE" });
  assert.equal(logLineJson(whole), `${whole}\n`);
  assert.deepEqual(JSON.parse(logLineJson("torn {")), { time: null, level: null, message: "torn {" });
});
