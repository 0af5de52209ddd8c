// What becomes of a secret that was typed for something that is added.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { BackendStatus } from "../../../../src/api/contract.ts";
import { MountaineerError } from "../../../../src/runtime/errors.ts";
import { saveAdded } from "../../../../src/web/page/add/save-added.ts";
import { addServer, typedBackend } from "../../../../src/web/page/add/server-plan.ts";
import { gatewayReport, sampleBackend } from "../../../api/sample-gateway.ts";
import { scriptedApp } from "../scripted-app.ts";

const SECRET = { name: "nas", value: "typed" };
const EDITS = [{ key: "a.b", value: "1" }];
const SHA256 = "ab".repeat(32);

test("F4 a secret is forgotten again where the configuration is refused, and kept where it may be saved", async () => {
  for (const [code, forgets] of [
    ["config_changed", true],
    ["commands_refused", true],
    ["timed_out", false],
    ["daemon_unreachable", false],
  ] as const) {
    const app = scriptedApp({
      edit: new MountaineerError(code, "no"),
      removeSecret: new MountaineerError("timed_out", "x"),
    });
    await assert.rejects(saveAdded(app, EDITS, [SECRET], SHA256), { code });
    const [set, edit, ...after] = app.log;
    assert.match(set ?? "", /^setSecret /);
    assert.match(edit ?? "", /^edit .*expected_sha256/);
    assert.deepEqual(after, forgets ? ['removeSecret {"name":"nas"}'] : [], code);
  }
});

test("F4 a value that seems to be a secret is refused before anything is asked or written", async () => {
  const app = scriptedApp();
  const token = `ghp_${"a1B2".repeat(9)}`;
  const texts = new Map([["GITHUB_TOKEN", token]]);
  const typed = typedBackend({ command: "server", args: [] }, texts);
  await assert.rejects(addServer(app, "new", typed, []), { code: "usage" });
  const known = typedBackend({ command: "server", args: [] }, new Map());
  await assert.rejects(addServer(app, "files", known, []), /there is a server called files/);
  assert.deepEqual(app.log, []);
});

test("F4 a server is written only after a yes", async () => {
  const app = scriptedApp({}, {}, false);
  await addServer(app, "new", typedBackend({ url: "https://a.example/mcp" }, new Map()), [SECRET]);
  assert.deepEqual(app.log, ["? Add new?"]);
});

test("F4 the first server gets the token that HTTP clients send, as from the command line", async () => {
  const typed = typedBackend({ url: "https://a.example/mcp" }, new Map());
  /** What is asked where the file was changed meanwhile. */
  const asked = async (text: string, kept: "file" | null, backends: BackendStatus[]) => {
    const known = [{ name: "gateway-token", kept, used_by: [] }];
    const app = scriptedApp(
      {
        config: { sha256: SHA256, text },
        secrets: { secrets: known, config_error: null },
        edit: new MountaineerError("config_changed", "no"),
      },
      { status: gatewayReport(backends) },
    );
    await assert.rejects(addServer(app, "new", typed, []), { code: "config_changed" });
    return app.log.slice(1);
  };
  const auth =
    /"key":"incoming_auth.type","value":"local"\},\{"key":"incoming_auth.token","value":"secret:gateway-token"/;
  const [set = "", edit = "", ...after] = await asked("", null, []);
  assert.match(set, /^setSecret \{"name":"gateway-token","value":"[\w-]{43}"\}$/);
  assert.match(edit, auth);
  assert.deepEqual(after, ['removeSecret {"name":"gateway-token"}']);
  const [withKept = "", ...none] = await asked("", "file", []);
  assert.match(withKept, auth);
  assert.deepEqual(none, []);
  for (const [text, backends] of [
    ['[incoming_auth]\ntype = "none"\n', []],
    ["", [sampleBackend()]],
  ] as const) {
    const [alone = "", ...rest] = await asked(text, null, [...backends]);
    assert.match(alone, /^edit /);
    assert.doesNotMatch(alone, /incoming_auth/);
    assert.deepEqual(rest, []);
  }
});
