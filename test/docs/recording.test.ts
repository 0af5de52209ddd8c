// What the docs show: the recording, and the codes of conditions.
import assert from "node:assert/strict";
import { glob, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { conditionCodes } from "../../scripts/docs/conditions.ts";
import { DAEMON_CONDITIONS, type KnownCondition } from "../../src/daemon/conditions/condition-rows.ts";
import { FLEET_CONDITIONS } from "../../src/fleet/conditions/condition-rows.ts";
import { BACKEND_CONDITIONS } from "../../src/gateway/backends/policy/condition-rows.ts";
import { GATEWAY_CONDITIONS } from "../../src/gateway/serving/condition-rows.ts";
import { ALIAS_CONDITIONS } from "../../src/shares/links/alias-links.ts";
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

test("E2 the page of codes has one line for each condition that status shows, as it is generated", async () => {
  const page = await readFile(join(ROOT, conditionCodes.path), "utf8");
  assert.equal(await conditionCodes.generate(), page);
  const [, list = ""] = page.split("## Conditions");
  const makers = [
    ...[ALIAS_CONDITIONS, BACKEND_CONDITIONS, DAEMON_CONDITIONS],
    ...[FLEET_CONDITIONS, GATEWAY_CONDITIONS, SHARE_CONDITIONS],
  ];
  for (const name of makers.flatMap((rows) => Object.keys(rows)))
    assert.equal(list.split(`\n- \`${name}\`: `).length, 2, name);
});

test("E2 a condition without a row does not compile", () => {
  const code = "audit_disk_low";
  // @ts-expect-error: no row has this name
  const undeclared: KnownCondition = { code, severity: "info", title: "", hint: null, since: "" };
  const declared: KnownCondition = { ...undeclared, code: "readable_by_others:/home" };
  assert.notEqual(declared.code, undeclared.code);
});

test("every code of a doctor's finding is on the page of codes", async () => {
  const page = await readFile(join(ROOT, conditionCodes.path), "utf8");
  const codes = new Set<string>();
  for await (const file of glob("src/{doctor/*,daemon/control/verify}.ts", { cwd: ROOT })) {
    const source = await readFile(join(ROOT, file), "utf8");
    for (const [, code = ""] of source.matchAll(FINDING)) codes.add(code);
  }
  assert.ok(codes.size > 20, `only ${codes.size} codes were recognized`);
  assert.deepEqual(
    [...codes].filter((code) => !page.includes(`\`${code}\``)),
    [],
  );
});
