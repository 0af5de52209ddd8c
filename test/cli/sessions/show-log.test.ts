// Lines of the log as `mountaineer logs` filters and shows them.
import assert from "node:assert/strict";
import { appendFile, rename, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { isAboutShare, logLineJson, openLogFile, renderLogLine } from "../../../src/cli/sessions/show-log.ts";
import { eventually } from "../../support/eventually.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const NEVER = new AbortController().signal;

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

test("the last lines come from the file and the rotated one beside a link's target, however large and long", async (t) => {
  const path = join(await temporaryFolder(t), "log");
  const last = async (count: number, matches: (line: string) => boolean = () => true) =>
    (await openLogFile(path, { count, matches, signal: NEVER })).last;
  assert.deepEqual(await last(3), []);
  const long = "ü".repeat(200_000);
  const many = Array.from({ length: 30_000 }, (_, index) => `line ${index}`);
  await writeFile(`${path}-far`, [...many, long, "end", "unfinished"].join("\n"));
  await writeFile(`${path}-far.1`, "rotated\n");
  await symlink(`${path}-far`, path);
  assert.deepEqual(await last(3), ["line 29999", long, "end"]);
  assert.deepEqual((await last(40_000)).slice(0, 2), ["rotated", "line 0"]);
  assert.deepEqual(await last(1, (one) => one === "line 7"), ["line 7"]);
  assert.deepEqual(await last(0), []);
});

test("following misses no line and repeats none: an unfinished one, and a rotation", async (t) => {
  const path = join(await temporaryFolder(t), "log");
  await writeFile(path, "a\nhal");
  const log = await openLogFile(path, { count: 0, matches: () => true, signal: NEVER });
  const stop = new AbortController();
  t.after(() => stop.abort());
  const lines: string[] = [];
  const ended = (async () => {
    for await (const one of log.follow(stop.signal)) lines.push(one);
  })();
  const follows = async (change: () => Promise<void>, ...expected: readonly string[]): Promise<void> => {
    await change();
    await eventually(() => lines.length >= expected.length);
    assert.deepEqual(lines.splice(0), expected);
  };
  await follows(() => appendFile(path, "f\n\nnext\nund"), "half", "next");
  await appendFile(path, "one\n");
  await rename(path, `${path}.1`);
  await follows(() => appendFile(`${path}.1`, "late\n"), "undone", "late");
  await follows(() => writeFile(path, "1\n2\n"), "1", "2");
  stop.abort();
  await ended;
});
