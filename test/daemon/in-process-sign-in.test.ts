import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { findPlace } from "../../src/config/locate.ts";
import { startApprovals } from "../../src/daemon/approvals/start-approvals.ts";
import { openHome } from "../../src/daemon/compose/home.ts";
import { openBackendSignIn } from "../../src/daemon/in-process-sign-in.ts";
import { silentLogger as logger } from "../../src/runtime/log/log.ts";
import { systemClock as clock } from "../../src/runtime/time/clock.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const signal = new AbortController().signal;
const nobody = {
  visit: () => assert.fail("a browser was opened"),
  showCode: () => assert.fail("a code was shown"),
  paste: () => Promise.reject(new Error("nobody is there")),
};

test("E2 nobody signs in at an address that waits for approval, and no secret goes there", async (t) => {
  const home = await temporaryFolder(t);
  const path = join(home, "config.toml");
  const text = (host: string): string =>
    `[trust]\napprove = "all"\n[backends.web]\nurl = "http://127.0.0.1:9/${host}"\n`;
  const environment = process.env;
  await writeFile(path, text("one"), { mode: 0o600 });
  const { snapshot } = await openHome({ home, configPath: null, environment, writesStarter: false, clock });
  const place = findPlace({ ...environment, MOUNTAINEER_HOME: home });
  const parts = { place, environment, snapshot, clock, logger, publish: () => {}, writes: true };
  const { keeper } = await startApprovals(parts, signal);
  await keeper[Symbol.asyncDispose]();
  const login = () =>
    openBackendSignIn({ home, configPath: null }).login(
      { backend: "web", way: "browser", moreScopes: [] },
      nobody,
      signal,
    );
  await assert.rejects(login, /cannot reach http:\/\/127\.0\.0\.1:9/);
  await writeFile(path, text("evil"), { mode: 0o600 });
  await assert.rejects(login, { code: "sign_in_failed", message: "backend web waits for approval" });
});
