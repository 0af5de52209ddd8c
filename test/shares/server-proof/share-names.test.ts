// The list of a real server's shares: who gets it, and what is no login.
import assert from "node:assert/strict";
import { symlink } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { missingForPlainRig, type PlainRig, startPlainRig } from "../../../src/demo/stage/plain-rig.ts";
import { findProgram } from "../../../src/runtime/process/find-program.ts";
import { listShareNames } from "../../../src/shares/server-proof/share-names.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { routeTo, shareSpec } from "../share-spec.ts";

const PATH = (process.env["PATH"] ?? "").split(":");
const missing =
  missingForPlainRig() ?? ((await findProgram("smbclient", PATH)) === null ? "needs smbclient" : null);

describe("F3 the shares of a server", { skip: missing ?? false }, () => {
  const login = ({ username, password, serverPort: port }: PlainRig, change: object = {}) =>
    shareSpec({
      ...{ username, password },
      routes: { tb: routeTo("127.0.0.1", { port }), fallback: routeTo(null) },
      ...change,
    });

  test("are listed to the right login, by smbclient or by rclone, without those that it keeps for itself; a wrong one is told", async (t) => {
    const folder = await temporaryFolder(t);
    await using rig = await startPlainRig({ shares: ["core", "media"] });
    // A folder with that program alone.
    await symlink((await findProgram("rclone", PATH)) ?? assert.fail(), join(folder, "rclone"));
    for (const folders of [PATH, [folder]]) {
      const ask = (change?: object) => listShareNames(login(rig, change), folder, t.signal, folders);
      const listed = await ask();
      assert.deepEqual(listed.kind === "listed" && [...listed.names].sort(), ["core", "media"]);
      const refused = await ask({ password: "another word" });
      assert.equal(refused.kind, "refused", JSON.stringify(refused));
      assert.doesNotMatch(JSON.stringify(refused), /another word/);
    }
    const none = await listShareNames(login(rig), folder, t.signal, []);
    assert.deepEqual(none, { kind: "failed", text: "nothing here can ask it: install rclone or smbclient" });
  });

  test("a server that takes whoever comes for a guest gives no list: a password was typed, and its session is not signed", async (t) => {
    const folder = await temporaryFolder(t);
    await using rig = await startPlainRig({ shares: ["core"], settings: ["map to guest = Bad Password"] });
    const names = await listShareNames(login(rig, { password: "another word" }), folder, t.signal, PATH);
    assert.equal(names.kind, "refused", JSON.stringify(names));
    const asGuest = await listShareNames(login(rig, { password: null }), folder, t.signal, PATH);
    assert.equal(asGuest.kind, "listed", JSON.stringify(asGuest));
  });

  test("without smbclient, a server that lets strangers in as guests takes no typed login for right", async (t) => {
    const folder = await temporaryFolder(t);
    await using rig = await startPlainRig({ shares: ["core"], settings: ["map to guest = Bad User"] });
    await symlink((await findProgram("rclone", PATH)) ?? assert.fail(), join(folder, "rclone"));
    const ask = (change: object) => listShareNames(login(rig, change), folder, t.signal, [folder]);
    const typed = await ask({ username: "nobody-here" });
    assert.ok(typed.kind === "refused" && /anybody in as a guest; install smbclient/.test(typed.text));
    assert.equal((await ask({ password: null })).kind, "listed");
  });
});
