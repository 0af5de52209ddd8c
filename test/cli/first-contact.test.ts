// What somebody sees who runs it for the first time, with something missing.
import assert from "node:assert/strict";
import { access, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { eventually } from "../support/eventually.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { runCommand, startCommand } from "./command-line.ts";

const SHARE = `[[shares]]
name = "CORE"
thunderbolt_host = "127.0.0.1:1"
fallback_host = "127.0.0.1:2"
password = "\${NAS_PASSWORD}"
`;

test("monitor says at once which variable is not set, and what to do", async (t) => {
  const home = await temporaryFolder(t);
  await writeFile(join(home, "config.toml"), SHARE);
  const monitor = startCommand(["monitor"], { home });
  await eventually(() => /share\.condition .*NAS_PASSWORD.* hint=/.test(monitor.stderr()), 20_000);
  monitor.child.kill("SIGTERM");
  assert.equal((await monitor.ended).code, 0);
});

test("a configuration that is named and not there is told, and none is written in its place", async (t) => {
  const home = await temporaryFolder(t);
  const path = join(home, "mine.toml");
  for (const command of ["monitor", "status", "verify"]) {
    const { code, stderr } = await runCommand([command, "--config", path], { home });
    assert.notEqual(code, 0, command);
    assert.equal(
      stderr,
      `mountaineer: there is no file at ${path}\n  hint: name one that is there, or have one written: mountaineer init --config ${path}\n`,
    );
  }
  await assert.rejects(access(path), { code: "ENOENT" });
});
