// What happens before NetFS logs in: refusals are counted with all programs of the home, and none is repeated within an hour.
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { failed } from "../../../../src/shares/drivers/mount-failure.ts";
import { createNetfsLogins } from "../../../../src/shares/drivers/netfs/logins.ts";
import { shareFiles } from "../../../../src/shares/drivers/share-files.ts";
import type { CommandFailure, ServerComparison } from "../../../../src/shares/program/commands.ts";
import type { ShareSpec } from "../../../../src/shares/share-spec.ts";
import { createManualClock } from "../../../support/manual-clock.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";
import { routeTo, shareSpec } from "../../share-spec.ts";
import { staying } from "../driver-contract.ts";

const SHARE = shareSpec({
  ...{ driver: "netfs", username: "ann", password: "secret" },
  routes: { tb: routeTo("10.0.0.1"), fallback: routeTo("10.0.0.2") },
} as Partial<ShareSpec>);
const SAME: ServerComparison = { ok: true, verdict: "same", text: null, failures: {} };

function start(found: ServerComparison | CommandFailure = SAME, stateFolder = "/h") {
  const clock = createManualClock();
  let asked = 0;
  const compareServers = async () => {
    asked += 1;
    return found;
  };
  const logins = createNetfsLogins({ clock, stateFolder, commands: { compareServers } });
  const attempt = (share: ShareSpec, change = {}) => {
    const plan = { ...staying(share), ...change };
    return { share, route: "tb", plan, signal: new AbortController().signal } as const;
  };
  return { clock, logins, attempt, asked: () => asked };
}

test("A14 NetFS logs in only with what mountaineer-fs could log in with, to the recorded server", async (t) => {
  const home = await temporaryFolder(t);
  const { folder } = shareFiles(home, SHARE.name);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "server.json"), "{}");
  for (const [found, reason] of [
    [SAME, undefined],
    [{ ...SAME, verdict: "different", text: "it lists other files" }, "different_server"],
    [{ ...SAME, failures: { tb: { code: "logon_failure", text: "no" } } }, "wrong_credentials"],
    [{ ...SAME, failures: { tb: { code: "logon_held", text: "not now" } } }, "wrong_credentials"],
    [{ ...SAME, verdict: "none", failures: { tb: { code: "no_answer", text: "no" } } }, undefined],
    [{ ok: false, code: null, text: "it is not installed" }, undefined],
  ] as const) {
    const { logins, attempt } = start(found);
    assert.equal((await logins.obstacle(attempt(SHARE)))?.reason, reason, JSON.stringify(found));
    // Where a server is recorded, one that mountaineer-fs could not compare gets nothing from NetFS.
    const obstacle = await start(found, home).logins.obstacle(attempt(SHARE));
    assert.equal(obstacle === null, found === SAME, JSON.stringify(found));
  }
});

test("A14 after a refused login none is tried for an hour, but with another password or at a person's request", async () => {
  const keychain = { ...SHARE, password: null };
  const { clock, logins, attempt, asked } = start();
  assert.equal(await logins.obstacle(attempt(keychain)), null);
  logins.ended(attempt(keychain), failed("wrong_credentials", "no"));
  assert.equal((await logins.obstacle(attempt(keychain)))?.text, "no");
  assert.equal(await logins.obstacle(attempt(keychain, { logInNow: true })), null);
  assert.equal(await logins.obstacle(attempt({ ...keychain, password: "new" })), null);
  assert.equal(asked(), 1, "a password of the Keychain is tried by macOS alone");
  await clock.advance(3_600_000);
  assert.equal(await logins.obstacle(attempt(keychain)), null);
});
