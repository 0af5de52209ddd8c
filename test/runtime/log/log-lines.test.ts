// The form of log lines, pinned; and that no text breaks out of its line or its field.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { rename, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it, test } from "node:test";
import type { LogFields, LogRecord } from "../../../src/runtime/log/log.ts";
import { jsonLine, readableLine } from "../../../src/runtime/log/log-lines.ts";
import { createRedaction } from "../../../src/runtime/log/log-redaction.ts";
import { type LinePosition, readLinesBackwards } from "../../../src/runtime/log/read-backwards.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const time = "2026-11-20T08:10:00.123Z";
const localTime = new Date(time).toTimeString().slice(0, 8);

function recordOf(message: string, fields: LogFields = {}): LogRecord {
  return { time, level: "warn", message, fields };
}

/** What a hostile share name may hold: forged lines, terminal commands, turned text. */
const HOSTILE =
  'x"\n2026-11-20 error forged\r\u001b[2J\u009b31m\u007f\u2028\u2029\u202e\u200b\u{e0041}\ud800\0';

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

  it("keep hostile text in its field, unchanged", () => {
    const line = jsonLine(recordOf("m", { share: HOSTILE, [HOSTILE]: [HOSTILE] }));
    assert.match(line, /^[\x20-\x7e]*\n$/u);
    const parsed = JSON.parse(line);
    assert.equal(parsed.share, HOSTILE);
    assert.deepEqual(parsed[HOSTILE], [HOSTILE]);
  });

  it("let no field override time, level or message", () => {
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

  it("write numbers that JSON does not have as text, and cut endless values", () => {
    const parsed = JSON.parse(
      jsonLine(recordOf("m", { a: Number.NaN, b: Infinity, c: "y".repeat(100_000) })),
    );
    assert.deepEqual([parsed.a, parsed.b], ["NaN", "Infinity"]);
    assert.equal(parsed.c, `${"y".repeat(8_192)}… (91808 more)`);
  });
});

describe("readable lines", () => {
  it("contain time, level, message and fields", () => {
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

  it("stay one line that cannot control the terminal", () => {
    const line = readableLine(recordOf(HOSTILE, { share: HOSTILE, [HOSTILE]: [HOSTILE] }), false);
    assert.match(line, /^[^\p{Cc}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]*\n$/u);
    assert.ok(
      line.includes(
        'share="x\\"\\n2026-11-20 error forged\\r\\x1b[2J\\x9b31m\\x7f\\u2028\\u2029\\u202e\\u200b\\udb40\\udc41',
      ),
    );
  });

  it("have colours only on request, and only around their own parts", () => {
    const line = readableLine(recordOf("m", { a: "1" }), true);
    assert.ok(line.includes("\u001b[33mwarn \u001b[0m"));
    assert.ok(!readableLine(recordOf("m", { a: "1" }), false).includes("\u001b"));
  });
});

// Secrets in every spelling they may come in.
const ODD = "a.*+?^${}()|[]\\/-b$&";
const SPELLED = 'p"ä\\ß &/\n';
const REDACTED: readonly (readonly [what: string, secrets: readonly string[], text: string, left: string])[] =
  [
    ["nothing while none is registered", [], "a b", "a b"],
    ["nothing for an empty secret", [""], "a b", "a b"],
    [
      "long secrets wherever they are",
      ["hunter2long", "s3cretlong"],
      "hunter2long/s3cretlong:xhunter2longx",
      "R/R:xRx",
    ],
    [
      "short ones as words of their own",
      ["hunter2", "v"],
      "hunter2/v:xhunter2x version=v.",
      "R/R:xhunter2x version=R.",
    ],
    [
      "plain words as words of their own",
      ["postgres", "resolve"],
      "postgres: resolved postgres-1",
      "R: resolved postgres-1",
    ],
    [
      "no part of a path that is a short one",
      ["pat"],
      "/home/pat/a.mjs smb://pat@h pat",
      "/home/pat/a.mjs smb://R@h R",
    ],
    ["a secret literally", [ODD], `<${ODD}> axxb`, "<R> axxb"],
    ["a secret in JSON", [SPELLED], JSON.stringify({ a: SPELLED }), '{"a":"R"}'],
    ["a secret as a part of a URL", [SPELLED], encodeURIComponent(SPELLED), "R"],
    ["a secret in a URL", [SPELLED], `smb://u:${encodeURI(SPELLED)}@h`, "smb://u:R@h"],
    [
      "no rest of a secret that begins like a shorter one",
      ["abc-1234", "abc-1234def"],
      "abc-1234def abc-1234",
      "R R",
    ],
    ["broken UTF-16", ["x\ud800y"], "<x\ud800y>", "<R>"],
  ];

for (const [what, secrets, text, left] of REDACTED) {
  test(`a redaction removes ${what}`, () => {
    const { redact, clean } = createRedaction();
    for (const secret of secrets) redact(secret);
    assert.equal(clean(text), left.replaceAll("R", "[redacted]"));
  });
}

const never = new AbortController().signal;

/** All lines of the files at `path`, read `most` at a time. */
async function pages(path: string, most: number, keep = 3, mostBytes?: number): Promise<string[][]> {
  const all: string[][] = [];
  let before: LinePosition | null = null;
  do {
    const page: string[] = [];
    before = await readLinesBackwards(
      { path, keep, before, signal: never, ...(mostBytes === undefined ? {} : { mostBytes }) },
      (line) => page.push(line) < most,
    );
    all.push(page);
    assert.ok(all.length < 10_000, "it ends");
  } while (before !== null);
  return all;
}

test("lines are read newest first, through rotated files, in pages that neither repeat nor lose one", async (t) => {
  const path = join(await temporaryFolder(t), "log");
  // Longer than a piece, of several bytes a character, and an empty one between.
  const lines = Array.from({ length: 90 }, (_, index) => `${index} ${"ü🎬".repeat((index * 97) % 4_000)}`);
  await writeFile(`${path}.2`, `${lines.slice(0, 30).join("\n")}\n`);
  await writeFile(`${path}.1`, `${lines.slice(30, 60).join("\n")}\n\n`);
  await writeFile(path, `${lines.slice(60).join("\n")}\n`);
  for (const most of [1, 7, 30, 200]) {
    assert.deepEqual((await pages(path, most)).flat(), lines.toReversed(), String(most));
  }
  assert.deepEqual((await pages(path, 7, 1)).flat(), lines.slice(30).toReversed(), "as many as are kept");
  assert.deepEqual((await pages(path, 200, 3, 64 * 1024)).flat(), lines.toReversed(), "in small readings");
});

test("a last line without its end is skipped, even where it is the whole file", async (t) => {
  const path = join(await temporaryFolder(t), "log");
  await writeFile(path, 'one\ntwo\n{"torn');
  assert.deepEqual(await pages(path, 10), [["two", "one"]]);
  await writeFile(path, "torn");
  assert.deepEqual(await pages(path, 10), [[]]);
  await writeFile(path, "");
  assert.deepEqual(await pages(path, 10), [[]]);
});

test("a line of megabytes is skipped, and the lines around it are not", async (t) => {
  const path = join(await temporaryFolder(t), "log");
  await writeFile(path, `first\n${"x".repeat(3 * 1024 * 1024)}\nlast\n`);
  assert.deepEqual((await pages(path, 10)).flat(), ["last", "first"]);
  assert.deepEqual((await pages(path, 10, 1, 2 * 1024 * 1024)).flat(), ["last", "first"]);
});

test("a reading continues in its file, wherever that has since been rotated to", async (t) => {
  const path = join(await temporaryFolder(t), "log");
  await writeFile(path, "1\n2\n3\n4\n");
  const first: string[] = [];
  const place = await readLinesBackwards({ path, keep: 2, before: null, signal: never }, (line) => {
    first.push(line);
    return first.length < 2;
  });
  await rename(path, `${path}.1`);
  await writeFile(path, "5\n");
  const second: string[] = [];
  const end = await readLinesBackwards({ path, keep: 2, before: place, signal: never }, (line) => {
    second.push(line);
    return true;
  });
  assert.deepEqual([first, second, end], [["4", "3"], ["2", "1"], null]);
  await truncate(`${path}.1`, 0);
  const gone = await readLinesBackwards({ path, keep: 2, before: place, signal: never }, () =>
    assert.fail("what was there is gone"),
  );
  assert.equal(gone, null);
});

test("a file that is rotated while it is read is read once", async (t) => {
  const path = join(await temporaryFolder(t), "log");
  await writeFile(path, "1\n2\n");
  const read: string[] = [];
  let moved: Promise<void> | null = null;
  await readLinesBackwards({ path, keep: 2, before: null, signal: never }, (line) => {
    read.push(line);
    moved ??= rename(path, `${path}.1`);
    return true;
  });
  await moved;
  assert.deepEqual(read, ["2", "1"]);
});

test("a missing file, a folder and a pipe without a writer have no lines, and block nothing", async (t) => {
  const folder = await temporaryFolder(t);
  assert.deepEqual(await pages(join(folder, "none"), 10), [[]]);
  assert.deepEqual(await pages(folder, 10), [[]]);
  const pipe = join(folder, "pipe");
  assert.equal(spawnSync("mkfifo", [pipe]).status, 0);
  assert.deepEqual(await pages(pipe, 10), [[]]);
});

test("a reading that is cancelled reads no further", async (t) => {
  const path = join(await temporaryFolder(t), "log");
  await writeFile(path, "1234567\n".repeat(64 * 1024));
  const stop = new AbortController();
  let lines = 0;
  await assert.rejects(
    readLinesBackwards({ path, keep: 0, before: null, signal: stop.signal }, () => {
      lines++;
      stop.abort(new Error("enough"));
      return true;
    }),
    /enough/,
  );
  assert.ok(lines < 10_000, String(lines));
});
