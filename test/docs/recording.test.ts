// What the docs show: the recording, and troubleshooting.
import assert from "node:assert/strict";
import { glob, readdir, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { recordingSvg } from "../../scripts/docs/recording.ts";

/** What plain folders are asked instead of the second act. */
const ONLY_ON_FOLDERS = "mountaineer config set global.carry on";

test("a recording hides each line until its time, and shows all where nothing moves", () => {
  const svg = recordingSvg([
    { text: "$ mountaineer demo", atMs: 0 },
    { text: "✓ <a & b>", atMs: 1_250 },
  ]);
  assert.match(svg, />\$ mountaineer demo<\/text>/);
  assert.match(svg, />✓ &lt;a &amp; b&gt;<set attributeName="opacity" to="0" begin="0s" dur="1.25s"\/>/);
  assert.doesNotMatch(svg, /<text[^>]* opacity=/);
});

test("the README shows a recording of a demo that went as told", async () => {
  const readme = await readFile(new URL("../../README.md", import.meta.url), "utf8");
  const [, path = ""] = /!\[[^\]]+\]\((docs\/images\/\S+\.svg)\)/.exec(readme) ?? [];
  const svg = await readFile(new URL(`../../${path}`, import.meta.url), "utf8");
  assert.match(svg, /all \d+ steps went as told/);
  for (const title of await stepTitles()) {
    assert.ok(
      svg.includes(title),
      `it lacks "${title}": bin/with-node scripts/docs/recording.ts makes it anew`,
    );
  }
});

/** Of the steps that the script plays on real SMB. */
async function stepTitles(): Promise<string[]> {
  const story = new URL("../../src/demo/story/", import.meta.url);
  const files = (await readdir(story)).filter((name) => name.endsWith(".ts"));
  const sources = await Promise.all(files.map((name) => readFile(new URL(name, story), "utf8")));
  const titles = [...sources.join("\n").matchAll(/^ +title: "([^"]+)"/gm)].map(([, title = ""]) => title);
  assert.ok(titles.length > 15, titles.join());
  return titles.filter((title) => title !== ONLY_ON_FOLDERS);
}

const ROOT = resolve(import.meta.dirname, "../..");
const FINDING = /(?:finding|add)\(\s*"(?:error|warning)",\s*"([a-z_]+)"/g;

const CONDITION =
  /code:\s*"([a-z]+(?:_[a-z]+)*)",\s*severity|\b(?:warn|error|setError)\(\s*"([a-z]+(?:_[a-z]+)+)"/g;

test("every code of a condition that status shows is in the table of conditions", async () => {
  const [, table = ""] = (await readFile(join(ROOT, "docs/troubleshooting.md"), "utf8")).split(
    "## Conditions",
  );
  const codes = new Set<string>();
  for await (const file of glob("src/{daemon,gateway,reconcile,shares,sync}/**/*.ts", { cwd: ROOT })) {
    const source = await readFile(join(ROOT, file), "utf8");
    for (const [, listed, told] of source.matchAll(CONDITION)) codes.add(listed ?? told ?? "");
  }
  assert.ok(codes.size > 40, `only ${codes.size} codes were recognized`);
  assert.deepEqual(
    [...codes].filter((code) => !table.includes(`\`${code}`)),
    [],
  );
});

test("every code that the doctor finds something wrong with is in its table", async () => {
  const text = await readFile(join(ROOT, "docs/troubleshooting.md"), "utf8");
  const [table = ""] = text.split("## Conditions");
  const codes = new Set<string>();
  for await (const file of glob("src/{doctor/*,daemon/control/verify}.ts", { cwd: ROOT })) {
    const source = await readFile(join(ROOT, file), "utf8");
    for (const [, code = ""] of source.matchAll(FINDING)) codes.add(code);
  }
  assert.ok(codes.size > 20, `only ${codes.size} codes were recognized`);
  assert.deepEqual(
    [...codes].filter((code) => !table.includes(`\`${code}\``)),
    [],
  );
});
