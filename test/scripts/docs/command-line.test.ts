import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { renderCliReference } from "../../../scripts/docs/command-line.ts";
import { COMMANDS } from "../../../src/cli/program/command-list.ts";
import { ERROR_CODES } from "../../../src/runtime/errors.ts";

test("docs/reference/cli.md matches the definitions", async () => {
  const kept = await readFile(new URL("../../../docs/reference/cli.md", import.meta.url), "utf8");
  assert.equal(kept, await renderCliReference(), "stale: run npm run docs");
});

test("the reference has every command, option, example and error code", async () => {
  const text = await renderCliReference();
  for (const { name, examples } of COMMANDS) {
    assert.match(text, new RegExp(`^## mountaineer ${name}$`, "m"));
    const [first, ...others] = Object.entries(examples);
    assert.ok(first !== undefined);
    const word = others.length === 0 ? "Example" : "Examples";
    assert.ok(text.includes(`\n- ${word}: \`${first[0]}\` (${first[1]})`), first[0]);
    for (const [command, does] of others) assert.ok(text.includes(`; \`${command}\` (${does})`), command);
  }
  for (const option of [
    "--share",
    "--all",
    "--json",
    "--force",
    "--wait",
    "--to",
    "--interval",
    "--config",
  ]) {
    assert.ok(text.includes(`\`${option}`), option);
  }
  for (const code of Object.keys(ERROR_CODES)) assert.ok(text.includes(`\`${code}\``), code);
});
