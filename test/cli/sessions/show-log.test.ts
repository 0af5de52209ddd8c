// Lines of the log as `mountaineer logs` filters and shows them.
import assert from "node:assert/strict";
import { appendFile, rename, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { sinceTime } from "../../../src/cli/commands/logs.ts";
import { isAboutShare, logLineJson, openLogFile, sentences } from "../../../src/cli/sessions/show-log.ts";
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

const PLAIN = { color: false, unicode: true };
const at = (seconds: number, message: string, fields: object = {}, level = "info"): string =>
  line({
    time: new Date(Date.UTC(2026, 0, 2, 12, 0, 0, seconds * 1000)).toISOString(),
    level,
    message,
    ...fields,
  });

test("logs prints a sentence for each story, and lines of other programs in their place, without control characters", () => {
  const share = "CORE";
  const lost = { share, route: "tb", host: "10.0.0.2:445", tb_link: "thunderbolt" };
  const lines = [
    at(1, "share.route_down", { ...lost, reason: "10.0.0.2:445: connection refused" }, "warn"),
    at(1.1, "share.error", { share, reason: "no route is back yet" }, "error"),
    at(1.3, "share.failover", { ...lost, from: "tb", to: "fallback", duration_ms: 148, reason: "" }, "warn"),
    at(1.3, "share.error_cleared", { share, reason: "mounted" }),
    "\u001b[2Jboom",
    line({}).slice(0, -1),
    at(9, "mounted while no daemon answered", { share, took_ms: 12, at: "2026-01-02T11:59:58.000Z" }),
    at(12, "share.mount_attempt", { share }),
  ];
  const text = sentences(lines, PLAIN)
    .join("")
    .replaceAll(/\b\d\d:\d\d:(?=\d\d)/g, "");
  assert.equal(
    text,
    `2026-01-02 01  ▲ CORE: Failed over from Thunderbolt to Fallback in 148 ms (4 events)
\\x1b[2Jboom
${line({}).slice(0, -1)}
2026-01-02 09    CORE: Mounted in 12 ms at 58, while no daemon answered
`,
  );
  assert.ok(sentences(lines, { ...PLAIN, color: true })[0]?.includes("\u001b["));
  assert.match(sentences([line({ time: "then" })], PLAIN)[0] ?? "", /^\?{4}-\?{2}-\?{2} .* M\n$/);
  assert.equal(logLineJson("boom"), '{"time":null,"level":null,"message":"boom"}\n');
});

test("--since takes a span, a time of the last day, or a date", () => {
  const now = new Date(2026, 0, 2, 12, 0).getTime();
  const given = ["8h", "30m", "2d", "03:00", "23:00", "2026-01-01", "2026-01-01T06:00", "25:00", "soon", "8"];
  const local = (day: number, hour: number): number => new Date(2026, 0, day, hour).getTime();
  assert.deepEqual(
    given.map((text) => sinceTime(text, now)),
    [
      local(2, 4),
      now - 1_800_000,
      now - 172_800_000,
      local(2, 3),
      local(1, 23),
      local(1, 0),
      local(1, 6),
      null,
      null,
      null,
    ],
  );
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
