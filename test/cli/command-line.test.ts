import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { runCommand, runProcess } from "./command-line.ts";

test("commands that run at once in this process have an environment and streams each, and leave ours alone", async (t) => {
  const folder = await temporaryFolder(t);
  const before = { ...process.env };
  const homes = ["one", "two", "three"].map((name) => join(folder, name));
  const ran = await Promise.all(
    homes.map(async (home) => {
      await mkdir(home);
      return runCommand(["config", "path"], { home });
    }),
  );
  assert.deepEqual(
    ran.map(({ code, stdout, stderr }) => [code, stdout, stderr]),
    homes.map((home) => [0, `${join(home, "config.toml")}\n`, ""]),
  );
  assert.deepEqual({ ...process.env }, before);
});

test("a command ends in this process as in its own: its code, what it prints, and what it reads", async (t) => {
  const home = await temporaryFolder(t);
  const lines: readonly (readonly [args: readonly string[], input?: string])[] = [
    [["config", "path"]],
    [["no-such-command"]],
    [["config", "get", "no.such.key"]],
    [["--help"]],
    [["fleet", "join"], "no code\n"],
    [["secret", "set", "nas"]],
  ];
  for (const [args, input] of lines) {
    const options = { home, ...(input === undefined ? {} : { input }) };
    assert.deepEqual(await runCommand(args, options), await runProcess(args, options), args.join(" "));
  }
});
