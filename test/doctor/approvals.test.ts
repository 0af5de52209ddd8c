import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { findPlace } from "../../src/config/locate.ts";
import { loadConfig } from "../../src/config/read/load.ts";
import { startApprovals } from "../../src/daemon/approvals/start-approvals.ts";
import { examineApprovals } from "../../src/doctor/approvals.ts";
import { silentLogger } from "../../src/runtime/log/log.ts";
import { systemClock as clock } from "../../src/runtime/time/clock.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const NEVER = new AbortController().signal;

async function findings(t: TestContext, texts: readonly string[], hasDaemon = false) {
  const home = join(await temporaryFolder(t), "home");
  await mkdir(home);
  const path = join(home, "config.toml");
  const place = findPlace({ HOME: join(home, ".."), MOUNTAINEER_HOME: home });
  let found: ReturnType<typeof examineApprovals> = [];
  for (const text of texts) {
    await writeFile(path, text);
    const loaded = await loadConfig(path, place);
    assert.ok(loaded.ok);
    const { snapshot } = loaded;
    const tools = { environment: {}, clock, logger: silentLogger, publish: () => {}, writes: true };
    const started = await startApprovals({ ...tools, place, snapshot }, NEVER);
    found = examineApprovals(started, snapshot, hasDaemon);
    await started.keeper[Symbol.asyncDispose]();
  }
  return found.map(({ severity, code }) => [severity, code]);
}

const WIDE = '[backends.files]\ncommand = "serve"\nargs = ["/"]\n';

test("E2 the doctor says that changes run without approval, where nothing reaches the home", async (t) => {
  const calm = '[backends.files]\ncommand = "serve"\ncwd = "/srv"\n';
  assert.deepEqual(await findings(t, [calm]), [["info", "approvals_off"]]);
  assert.deepEqual(await findings(t, [""]), [], "nor about what is not there");
});

test("E2 the doctor says what waits and that the key stands in the home; a daemon says the former itself", async (t) => {
  const key = [
    ["ok", "approvals"],
    ["info", "approvals_key_in_home"],
  ];
  assert.deepEqual(await findings(t, [WIDE, WIDE]), key);
  const evil = WIDE.replace("serve", "evil");
  assert.deepEqual(await findings(t, [WIDE, evil]), [["warning", "waiting_for_approval"], ...key]);
  assert.deepEqual(await findings(t, [WIDE, evil], true), key);
});
