// What the docs show: the recording, and troubleshooting.
import assert from "node:assert/strict";
import { glob, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { BACKEND_CONDITIONS } from "../../src/gateway/backends/policy/condition-rows.ts";
import { GATEWAY_CONDITIONS } from "../../src/gateway/serving/condition-rows.ts";
import { SHARE_CONDITIONS } from "../../src/shares/policy/condition-rows.ts";

const ROOT = resolve(import.meta.dirname, "../..");

test("the README begins with the recording of the page: a moving picture, small and no wider than a page", async () => {
  const readme = await readFile(join(ROOT, "README.md"), "utf8");
  const [, path = ""] = /!\[[^\]]+\]\((docs\/images\/\S+)\)/.exec(readme) ?? [];
  const image = await readFile(join(ROOT, path));
  assert.equal(image.toString("latin1", 8, 16), "WEBPVP8X");
  const [flags = 0, width = 0] = [image.at(20), image.readUIntLE(24, 3) + 1];
  assert.ok((flags & 2) !== 0, "it does not move");
  assert.ok(width <= 1280, `${width} px`);
  assert.ok(image.length <= 700_000, `${image.length} bytes`);
});

const FINDING = /(?:finding|add)\(\s*"(?:error|warning)",\s*"([a-z_]+)"/g;

const CONDITION =
  /code:\s*"([a-z]+(?:_[a-z]+)*)",\s*severity|\b(?:warn|error|setError)\(\s*"([a-z]+(?:_[a-z]+)+)"/g;

test("every code of a condition that status shows is in the table of conditions", async () => {
  const [, table = ""] = (await readFile(join(ROOT, "docs/troubleshooting.md"), "utf8")).split(
    "## Conditions",
  );
  const codes = new Set<string>(
    [SHARE_CONDITIONS, BACKEND_CONDITIONS, GATEWAY_CONDITIONS].flatMap((rows) => Object.keys(rows)),
  );
  for await (const file of glob("src/{daemon,gateway,reconcile,shares,sync}/**/*.ts", { cwd: ROOT })) {
    const source = await readFile(join(ROOT, file), "utf8");
    for (const [, listed, told] of source.matchAll(CONDITION)) codes.add(listed ?? told ?? "");
  }
  assert.ok(codes.size > 60, `only ${codes.size} codes were recognized`);
  assert.deepEqual(
    [...codes].filter((code) => !table.includes(`\`${code}`)),
    [],
  );
});

test("every code of a doctor's finding is in its table", async () => {
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
