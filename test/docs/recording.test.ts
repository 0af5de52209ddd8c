import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
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
