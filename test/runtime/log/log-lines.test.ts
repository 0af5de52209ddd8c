// The form of log lines, pinned; and that no text breaks out of its line or its field.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { LogFields, LogRecord } from "../../../src/runtime/log/log.ts";
import { jsonLine, readableLine } from "../../../src/runtime/log/log-lines.ts";

const time = "2026-11-20T08:10:00.123Z";
const localTime = new Date(time).toTimeString().slice(0, 8);

function recordOf(message: string, fields: LogFields = {}): LogRecord {
  return { time, level: "warn", message, fields };
}

/** What a hostile share name may hold: forged lines, terminal commands, turned text. */
const HOSTILE = 'x"\n2026-11-20 error forged\r\u001b[2J\u009b31m\u007f\u2028\u2029\u202e\ud800\0';

describe("JSON lines", () => {
  it("A9 have time, level and message first, then the fields", () => {
    const fields = {
      share: "CORE",
      took_ms: 12,
      forced: false,
      from: null,
      missing: undefined,
      files: ["a", "b"],
    };
    assert.equal(
      jsonLine(recordOf("failed over", fields)),
      `{"time":"${time}","level":"warn","message":"failed over","share":"CORE","took_ms":12,"forced":false,"from":null,"files":["a","b"]}\n`,
    );
  });

  it("keep hostile text in its field, as it was", () => {
    const line = jsonLine(recordOf("m", { share: HOSTILE, [HOSTILE]: [HOSTILE] }));
    assert.match(line, /^[\x20-\x7e]*\n$/u);
    const parsed = JSON.parse(line);
    assert.equal(parsed.share, HOSTILE);
    assert.deepEqual(parsed[HOSTILE], [HOSTILE]);
  });

  it("let no field stand in for time, level or message", () => {
    const parsed = JSON.parse(jsonLine(recordOf("m", { time: "never", level: "debug", message: "other" })));
    assert.deepEqual(parsed, {
      time,
      level: "warn",
      message: "m",
      time_: "never",
      level_: "debug",
      message_: "other",
    });
  });

  it("write numbers that JSON has not as text, and cut what is endless", () => {
    const parsed = JSON.parse(
      jsonLine(recordOf("m", { a: Number.NaN, b: Infinity, c: "y".repeat(100_000) })),
    );
    assert.deepEqual([parsed.a, parsed.b], ["NaN", "Infinity"]);
    assert.equal(parsed.c, `${"y".repeat(8_192)}… (91808 more)`);
  });
});

describe("readable lines", () => {
  it("say time, level, message and fields", () => {
    const fields = {
      share: "CORE",
      took_ms: 12,
      ok: true,
      from: null,
      missing: undefined,
      text: "two words",
      e: "",
    };
    assert.equal(
      readableLine(recordOf("failed over", fields), false),
      `${localTime}.123 warn  failed over share=CORE took_ms=12 ok=true from=null text="two words" e=""\n`,
    );
    assert.match(
      readableLine(recordOf("m", { files: ["a", 'b "c"'] }), false),
      / files=\[a, "b \\"c\\""\]\n$/u,
    );
  });

  it("stay one line that cannot command the terminal", () => {
    const line = readableLine(recordOf(HOSTILE, { share: HOSTILE, [HOSTILE]: [HOSTILE] }), false);
    assert.match(line, /^[^\p{Cc}\p{Zl}\p{Zp}\u202e]*\n$/u);
    assert.ok(
      line.includes('share="x\\"\\n2026-11-20 error forged\\r\\x1b[2J\\x9b31m\\x7f\\u2028\\u2029\\u202e'),
    );
  });

  it("have colours only when told, and only around their own parts", () => {
    const line = readableLine(recordOf("m", { a: "1" }), true);
    assert.ok(line.includes("\u001b[33mwarn \u001b[0m"));
    assert.ok(!readableLine(recordOf("m", { a: "1" }), false).includes("\u001b"));
  });
});
