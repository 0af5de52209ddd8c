// CONTRIBUTING.md's "Debug a running daemon", as far as a test can try it without a debugger.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { test } from "node:test";
import { COMMAND, runCommand } from "../cli/command-line.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const ROOT = resolve(import.meta.dirname, "../..");

test("built files name their source maps, and with those read, stacks name the sources", async (t) => {
  const document = await readFile(join(ROOT, "CONTRIBUTING.md"), "utf8");
  assert.match(document, /^NODE_OPTIONS=--enable-source-maps MOUNTAINEER_DEBUG=1 bin\/mountaineer monitor$/m);
  const main = COMMAND.at(-1) ?? "";
  assert.match(await readFile(main, "utf8"), /sourceMappingURL=main\.js\.map\s*$/);
  const { sources } = JSON.parse(await readFile(join(dirname(main), "main.js.map"), "utf8"));
  assert.ok(sources.includes("../../src/cli/main.ts"));
  const home = await temporaryFolder(t);
  const env = { NODE_OPTIONS: "--enable-source-maps", MOUNTAINEER_DEBUG: "1" };
  const { stderr } = await runCommand(["monitor", "--config", join(home, "gone.toml")], { home, env });
  assert.match(stderr, /\(\S*\/src\/\S+\.ts:\d+:\d+\)/);
});
