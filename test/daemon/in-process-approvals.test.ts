// Approvals while no daemon runs, with what the home has kept of its fleet's configuration.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { findPlace } from "../../src/config/locate.ts";
import { startApprovals } from "../../src/daemon/approvals/start-approvals.ts";
import { openHome } from "../../src/daemon/compose/home.ts";
import { keptLayerOf } from "../../src/daemon/fleet-part.ts";
import { approveEdited, openApprovalsInProcess } from "../../src/daemon/in-process-approvals.ts";
import { openBackendSignIn } from "../../src/daemon/in-process-sign-in.ts";
import { userKey } from "../../src/fleet/keys/nkey.ts";
import { keepLayer } from "../../src/fleet/layer/kept-layer.ts";
import { signLayer } from "../../src/fleet/layer/signed-layer.ts";
import { silentLogger as logger } from "../../src/runtime/log/log.ts";
import { systemClock as clock } from "../../src/runtime/time/clock.ts";
import { assertEach } from "../support/assert-each.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const signal = new AbortController().signal;
const environment = process.env;
const KEY = randomBytes(32);
const OWN = `[trust]
approve = "all"
[fleet]
name = "laptop"
servers = ["tls://nas.example.com:4222"]
credentials = "secret:fleet"
operator = "${userKey(KEY)}"
`;
const DENIED = '[authorization]\ndefault_effect = "deny"\n';
const PROGRAM = '[backends.program]\ncommand = "/bin/true"\n';

async function homeWith(t: TestContext, layer: string) {
  const home = await temporaryFolder(t);
  const path = join(home, "config.toml");
  const keep = (revision: number, text: string): Promise<void> => {
    const words = { revision, time: "2026-11-20T10:00:00.000Z", by: "nas", text };
    return keepLayer(home, Buffer.from(signLayer(words, KEY)));
  };
  await writeFile(path, OWN, { mode: 0o600 });
  await keep(1, layer);
  /** As a daemon does. */
  const start = async () => {
    const keptLayer = keptLayerOf(home, (reason) => assert.fail(reason));
    const options = { home, configPath: null, environment, writesStarter: false, clock };
    const { snapshot } = await openHome({ ...options, keptLayer });
    const place = findPlace({ ...environment, MOUNTAINEER_HOME: home });
    const parts = { place, environment, snapshot, clock, logger, publish: () => {}, writes: true };
    const started = await startApprovals(parts, signal);
    await started.keeper[Symbol.asyncDispose]();
    return started;
  };
  return { home, path, keep, start };
}

test("E2 G1 an edit without a daemon takes back nothing that was approved of the fleet's layer", async (t) => {
  const { home, path, start } = await homeWith(t, DENIED);
  assert.equal((await start()).snapshot.config.authorization?.defaultEffect, "deny");
  const own = await openHome({ home, configPath: null, environment, writesStarter: false, clock });
  await writeFile(path, `${OWN}[limits]\nsessions = 3\n`, { mode: 0o600 });
  const after = await openHome({ home, configPath: null, environment, writesStarter: false, clock });
  assert.equal(await approveEdited(home, own.snapshot.config, after.snapshot, signal), 0);
  const { keeper, snapshot } = await start();
  assert.deepEqual(keeper.waiting, []);
  const { authorization, limits } = snapshot.config;
  assert.deepEqual([authorization?.defaultEffect, limits.sessions], ["deny", 3]);
});

test("E2 G1 `approve` without a daemon shows what waits of the fleet's layer", async (t) => {
  const { home, keep, start } = await homeWith(t, DENIED);
  await start();
  await keep(2, `${DENIED}${PROGRAM}`);
  const options = { home, configPath: null, intent: "change", command: "approve", signal } as const;
  const own = await openApprovalsInProcess(options);
  const { ask } = own;
  const { waiting } = await ask("approvals", null, signal);
  assertEach(waiting, ({ id }) => id, ["backends.program"]);
  await ask("approve", { entries: waiting.map(({ id, digest }) => ({ id, digest })) }, signal);
  await own[Symbol.asyncDispose]();
  const { keeper, snapshot } = await start();
  assert.deepEqual([keeper.waiting, snapshot.config.backends.map(({ name }) => name)], [[], ["program"]]);
});

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
