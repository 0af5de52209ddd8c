// What a person needs to add a share or a server, before a real SMB server where one is there.
import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { test } from "node:test";
import { OWNER_RIGHTS } from "../../../src/api/operations/operation.ts";
import { createSetupControl } from "../../../src/daemon/control/setup-control.ts";
import { startPlainRig } from "../../../src/demo/stage/plain-rig.ts";
import { missingForSmb } from "../../../src/demo/stage/smb-available.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { openSecretStore } from "../../../src/secrets/secret-store.ts";
import { sampleReload } from "../../api/sample-config.ts";
import type { Scope } from "../../support/temporary-folder.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const signal = AbortSignal.any([]);

async function openControl(t: Scope) {
  const home = await temporaryFolder(t);
  const reloads: unknown[] = [];
  const reload = (input: unknown) => {
    reloads.push(input);
    return sampleReload();
  };
  return { home, control: createSetupControl({ home, configPath: null, reload }), reloads };
}

test("F4 a secret is stored, used at once, listed only by its name and forgotten; the daemon's own key is not touched", async (t) => {
  const { control, reloads } = await openControl(t);
  const { kept } = await control.setSecret({ name: "nas", value: "s3cret word" }, signal, OWNER_RIGHTS);
  assert.deepEqual(reloads, [{ secrets: true }]);
  const report = await control.secrets();
  assert.deepEqual(report.secrets, [{ name: "nas", kept, used_by: [] }]);
  const remove = (name: string) => control.removeSecret({ name }, signal, OWNER_RIGHTS);
  assert.deepEqual(await remove("nas"), { name: "nas", kept });
  assert.deepEqual(reloads, [{ secrets: true }, { secrets: true }]);
  await assert.rejects(remove("nas"), { code: "secret_unknown" });
  await assert.rejects(control.setSecret({ name: "sign-in.key", value: "x" }, signal, OWNER_RIGHTS), {
    code: "usage",
  });
  await assert.rejects(remove("sign-in.key"), { code: "usage" });
});

test("F4 each secret is listed with all its uses, even one that is not stored, and the key of the sign-ins", async (t) => {
  const { home, control } = await openControl(t);
  const backend = (name: string): string =>
    `[backends.${name}]\nurl = "https://${name}.example/mcp"\nheaders = { Authorization = "secret:api" }\n`;
  await writeFile(join(home, "config.toml"), backend("a") + backend("b"));
  const store = openSecretStore({ home, clock: systemClock, environment: process.env });
  const { kept } = await store.set("sign-in.key", "x", null, signal);
  const { secrets, config_error } = await control.secrets();
  assert.equal(config_error, null);
  assert.deepEqual(secrets, [
    {
      name: "api",
      kept: null,
      used_by: ["server a (headers Authorization)", "server b (headers Authorization)"],
    },
    { name: "sign-in.key", kept, used_by: ["logins to servers"] },
  ]);
});

test("F4 an address without a path gets the path at which an MCP server answers", async (t) => {
  const { control } = await openControl(t);
  const asked: string[] = [];
  const server = createServer(({ url = "", headers }, response) => {
    asked.push(`${url} ${headers.authorization ?? "nobody"}`);
    response.writeHead(url === "/mcp" ? 200 : 404, { "content-type": "application/json" }).end("{}");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  const at = `127.0.0.1:${address.port}`;
  const find = async (url: string) => (await control.mcpAddress({ url }, signal)).url;
  assert.equal(await find(`http://ann:word@${at}`), `http://ann:word@${at}/mcp`);
  assert.deepEqual(asked, ["/ nobody", "/mcp nobody"]);
  for (const other of [`http://${at}/other`, "no address", "data:text/plain,"])
    assert.equal(await find(other), null, other);
  assert.equal(asked.length, 2);
});

test("F4 a server is asked for its shares with the typed login, and another address is distinguished", {
  skip: (await missingForSmb("/nowhere")) ?? false,
}, async (t) => {
  const { control } = await openControl(t);
  await using nas = await startPlainRig({ shares: ["CORE", "MEDIA"] });
  await using stranger = await startPlainRig({ shares: ["CORE"], netbiosName: "OTHER" });
  for (const rig of [nas, stranger]) await writeFile(join(rig.exportPath("CORE"), "a.txt"), rig.tbHost);
  const login = {
    host: `${nas.tbHost}:${nas.tbPort}`,
    username: nas.username,
    password: nas.password,
  };
  const names = await control.shareNames(login, signal);
  assert.ok(names.kind === "listed", JSON.stringify(names));
  assert.deepEqual(new Set(names.names), new Set(["CORE", "MEDIA"]));
  assert.equal((await control.shareNames({ ...login, password: "wrong" }, signal)).kind, "refused");
  assert.equal((await control.shareNames({ ...login, host: "127.0.0.9:9" }, signal)).kind, "failed");
  const pair = (other: string) => control.pairServers({ ...login, share: "CORE", other }, signal);
  assert.deepEqual(await pair(`${nas.fallbackHost}:${nas.fallbackPort}`), { kind: "same", text: "" });
  assert.equal((await pair(`${stranger.tbHost}:${stranger.tbPort}`)).kind, "different");
  const networks = (...hosts: string[]) => control.shareNetworks({ hosts }, signal);
  assert.deepEqual(await networks(login.host), { networks: null }, "no gateway leads to this machine");
  await assert.rejects(networks("a b"), { code: "usage" });
  for (const wrong of [{ host: "a b" }, { username: "\u0000" }])
    await assert.rejects(control.shareNames({ ...login, ...wrong }, signal), { code: "usage" });
});
