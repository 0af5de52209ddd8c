import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { recordingSvg } from "../../scripts/docs/recording.ts";

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
});
