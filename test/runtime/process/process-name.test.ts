// The names by which processes are told to people.
import assert from "node:assert/strict";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { processName } from "../../../src/runtime/process/process-name.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

test("F7 a program that renamed its first thread is called by its file, and any other by its name", async (t) => {
  const folder = await temporaryFolder(t);
  const rows = [
    ["MainThread", "/opt/node-24/bin/node", "node"],
    ["MainThread", "/opt/node-24/bin/node (deleted)", "node"],
    ["GeckoMain", "/usr/lib/firefox/firefox", "firefox"],
    ["vim", "/usr/bin/vim.basic", "vim"],
    ["MainThread", null, "MainThread"],
  ] as const;
  for (const [index, [name, program, expected]] of rows.entries()) {
    const process = join(folder, String(index));
    await mkdir(process);
    await writeFile(join(process, "comm"), `${name}\n`);
    if (program !== null) await symlink(program, join(process, "exe"));
    assert.equal(processName(process), expected);
  }
  assert.equal(processName(join(folder, "ended")), "");
});
