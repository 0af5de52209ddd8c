// What becomes of a secret that was typed for something that is added.
import assert from "node:assert/strict";
import { test } from "node:test";
import { h } from "preact";
import type { BackendStatus } from "../../../../src/api/contract/contract.ts";
import { MountaineerError } from "../../../../src/runtime/errors.ts";
import { saveAdded, takenSecrets } from "../../../../src/web/page/add/save-added.ts";
import { addServer, typedBackend } from "../../../../src/web/page/add/server-plan.ts";
import { sampleEdit, sampleMistake } from "../../../api/sample-config.ts";
import { gatewayReport, sampleBackend } from "../../../api/sample-gateway.ts";
import { scriptedApp } from "../scripted-app.ts";
import { mount } from "../tiny-dom.ts";

const SECRET = { name: "nas", value: "typed" };
const EDITS = [{ key: "a.b", value: "1" }];
const SHA256 = "ab".repeat(32);

test("F4 secrets are forgotten again where the configuration is refused, and kept where it may be saved", async () => {
  const forgotten = ['removeSecret {"name":"nas"}', 'removeSecret {"name":"other"}'];
  for (const [code, forgets] of [
    ["config_changed", true],
    ["commands_refused", true],
    ["config_invalid", true],
    ["timed_out", false],
    ["daemon_unreachable", false],
  ] as const) {
    const mistakes = sampleEdit({ errors: [sampleMistake()] });
    const app = scriptedApp({
      edit: code === "config_invalid" ? mistakes : new MountaineerError(code, "no"),
      removeSecret: new MountaineerError("timed_out", "x"),
    });
    await assert.rejects(saveAdded(app, EDITS, [SECRET, { name: "other", value: "x" }], SHA256), { code });
    const [set, , edit, ...after] = app.log;
    assert.match(set ?? "", /^setSecret /);
    assert.match(edit ?? "", /^edit .*expected_sha256/);
    assert.deepEqual(after, forgets ? forgotten : [], code);
  }
});

test("F4 an addition is shown at once, and its secret gets a unique name", async () => {
  let refreshed = 0;
  const app = { ...scriptedApp(), refresh: () => void refreshed++ };
  await saveAdded(app, EDITS, [], SHA256);
  assert.equal(refreshed, 1);
  const isTaken = await takenSecrets(app);
  assert.deepEqual(["nas", "nas-2"].map(isTaken), [true, false]);
});

test("F4 a name that is taken or not allowed is refused before anything is sent or written", async () => {
  const app = scriptedApp();
  const known = typedBackend({ command: "server", args: [] }, new Map());
  await assert.rejects(addServer(app, "files", known, []), /there is a server called files/);
  await assert.rejects(addServer(app, "a/b", known, []), { code: "usage", message: /^a\/b: expected / });
  assert.deepEqual(app.log, []);
});

test("F4 a server is written only after a yes to its command and the sent data, with its secrets", async () => {
  const openly = `ghp_${"a1B2".repeat(9)}`;
  const cases = [
    {
      typed: typedBackend({ url: "https://a.example/mcp" }, new Map([["X-Team", "red"]])),
      says: ["sent to this address:https://a.example/mcp", "X-Team = red", "secret:nas"],
    },
    {
      typed: typedBackend({ command: "server", args: ["--token", openly] }, new Map([["LEVEL", "2"]])),
      says: ["server --token '${secret:new-token}'", "LEVEL = 2", "secret:nas", "seems to be a secret"],
    },
    {
      typed: typedBackend(
        { command: "server", args: [`--key=${openly}`] },
        new Map([["API_KEY", "hunter2x"]]),
      ),
      says: ["server '--key=${secret:new-key}'", "API_KEY = ${secret:new-api-key}"],
    },
    {
      typed: typedBackend({ url: `https://a.example/mcp?key=${openly}` }, new Map([["X-Key", openly]])),
      says: ["https://a.example/mcp?key=${secret:new-x-key}", "X-Key = ${secret:new-x-key}"],
    },
  ];
  for (const { typed, says } of cases) {
    const unsure = scriptedApp({}, {}, false);
    await addServer(unsure, "new", typed, [SECRET]);
    assert.deepEqual(unsure.log, ["? Add new?"]);
    using body = mount(() => h("div", {}, unsure.body), {});
    for (const words of says) assert.ok(body.text().includes(words), `${words} in ${body.text()}`);
    Object.assign(globalThis, { location: { hash: "" } });
    const sure = scriptedApp();
    await addServer(sure, "new", typed, [SECRET]);
    assert.match(sure.log[1] ?? "", /^setSecret .*"name":"nas","value":"typed"/);
    const edit = sure.log.find((line) => line.startsWith("edit ")) ?? "";
    assert.match(edit, /^edit .*backends\.new/);
    assert.ok(!edit.includes(openly) && !edit.includes("hunter2x"), "kept as a secret, and not written");
    assert.equal(location.hash, "#/servers");
  }
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
