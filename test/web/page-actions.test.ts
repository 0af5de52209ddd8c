// All that can be done in the page, in Debian's Firefox by the mouse, and in Chromium by keys alone, before a real daemon
// and a real NAS.
import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { type PlainRig, startPlainRig } from "../../src/demo/stage/plain-rig.ts";
import { missingForSmb } from "../../src/demo/stage/smb-available.ts";
import { agree, startAuthorizationServer } from "../gateway/backends/server-sign-in/authorization-server.ts";
import { startProtectedServer } from "../gateway/backends/server-sign-in/protected-server.ts";
import { eventually } from "../support/eventually.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { mountsEnd, startRegistry } from "./add-stage.ts";
import { handAt, NO_FIREFOX, openChromiumTab, openFirefoxTab } from "./hand.ts";
import { NO_BROWSER, startPageStage, TOOLS_SERVER } from "./page-rig.ts";

const VALUE = "typed-only-here-4071";
const CLIENT_TEXT = '{\n  "mcpServers": {}\n}\n';
const APPROVE = '\n[trust]\napprove = "commands"\n';

const PLAYS = [
  { name: "Firefox, by the mouse", missing: NO_FIREFOX, open: openFirefoxTab, by: "mouse" },
  { name: "Chromium, by keys alone", missing: NO_BROWSER, open: openChromiumTab, by: "keys" },
] as const;

for (const { name, missing, open, by } of PLAYS) {
  test(`all actions in ${name}`, {
    skip: missing || ((await missingForSmb("/nowhere")) ?? false),
  }, async (t) => {
    const registry = await startRegistry(t);
    const authorization = await startAuthorizationServer(t);
    const { url } = await startProtectedServer(t, authorization);
    const userHome = await temporaryFolder(t);
    const client = join(userHome, ".cursor", "mcp.json");
    await mkdir(dirname(client));
    await writeFile(client, CLIENT_TEXT);
    await using stage = await startPageStage(t, {
      more: () => APPROVE,
      env: { MOUNTAINEER_REGISTRY: registry, HOME: userHome },
    });
    const { home } = stage;
    await using nas = await startPlainRig({ shares: ["CORE", "MEDIA"], password: VALUE });
    await writeFile(join(nas.exportPath("MEDIA"), "hello.txt"), "of MEDIA");
    await using _mounts = mountsEnd(home);
    await home.cli(["config", "set", "server.management.allow_commands", "false"]);
    await home.cli(["backends", "add", "tickets", "--url", url, "--wait", "0"]);
    const { tab, close } = await open();
    await using ends = new AsyncDisposableStack();
    ends.defer(close);
    const hand = handAt(tab, by);
    await tab.goto(await stage.link());
    await hand.see(/\blive\b/i);

    await t.test("F4 the owner's right is typed in a terminal", async () => {
      await hand.go("Settings/Secrets");
      await hand.press("Unlock");
      const [, code = ""] = /mountaineer admin (\S+)/.exec(await hand.see(/mountaineer admin \S+/)) ?? [];
      assert.equal((await home.cli(["admin", code])).code, 0);
      await hand.see(/This tab may change/);
    });

    await t.test("F4 a secret is stored, and deleted", async () => {
      await hand.fill("Name \\(required\\)", "token");
      await hand.fill("Value \\(required\\)", VALUE);
      await hand.press("Save");
      await hand.see(/nothing uses it/);
      await hand.press("Delete: token");
      await hand.press("Delete");
      await hand.see(/No secret is stored/);
    });

    await t.test("F4 a client is connected, and restored", async () => {
      await hand.go("Settings/Clients");
      await hand.press("Connect: Cursor");
      await hand.press("Change it");
      await hand.see(/uses this gateway/);
      assert.match(await readFile(client, "utf8"), /"mountaineer"/);
      await hand.press("Undo: Cursor uses this gateway now.*");
      await hand.press("Change it");
      await eventually(async () => (await readFile(client, "utf8")) === CLIENT_TEXT);
    });

    await t.test("F4 a server is added by its command", async () => {
      await hand.go("Servers/Add a server");
      await hand.fill("Name \\(required\\)", "more");
      await hand.fill("Command or address \\(required\\)", `${process.execPath} ${TOOLS_SERVER}`);
      await hand.press("Show what runs …");
      await hand.see(/tools-server\.mjs/);
      await hand.press("Add it");
      await hand.arrive("servers?open=more");
      await eventually(async () => (await phases(home))["more"] === "Ready", 60_000);
    });

    await t.test("F4 a server is disabled, that is undone, and it is removed, in its panel", async () => {
      const text = await readFile(home.configFile, "utf8");
      await hand.press("Settings: more");
      await hand.press("Disable: more");
      await eventually(async () => /enabled = false/.test(await readFile(home.configFile, "utf8")));
      await hand.press("Undo: Saved.*");
      await eventually(async () => (await readFile(home.configFile, "utf8")) === text);
      await hand.press("Remove: more");
      await hand.press("Remove");
      await eventually(async () => (await phases(home))["more"] === undefined);
      await hand.press("Undo: Saved.*");
      await eventually(async () => (await phases(home))["more"] === "Ready", 60_000);
      assert.equal(await readFile(home.configFile, "utf8"), text);
    });

    await t.test("F4 a server is added from the registry, with its secret", async () => {
      await hand.go("Servers/Add a server");
      await hand.fill("Part of its name \\(required\\)", "weather");
      await hand.press("Search");
      await hand.press("Choose io\\.github\\.example/weather");
      await hand.fill("Name here \\(required\\)", "weather");
      await hand.fill("key \\(required\\)", VALUE);
      await hand.press("Show what runs …", "button", "What it wants");
      await hand.see(/Authorization = Bearer \$\{secret:weather-key\}/);
      await hand.press("Add it");
      await hand.arrive("servers?open=weather");
      await eventually(async () => (await phases(home))["weather"] !== undefined, 60_000);
    });

    await t.test("F4 a server that asks for a login is signed in to", async () => {
      await hand.go("Servers/Servers");
      await hand.press("tickets");
      await hand.press("Sign in: tickets");
      await hand.see(/Sign in at /);
      const address = await tab.evaluate(
        '[...document.links].find(({ textContent }) => textContent.startsWith("Sign in at ")).href',
      );
      await agree(String(address), authorization.issuer);
      await eventually(async () => (await phases(home))["tickets"] === "Ready", 60_000);
    });

    await t.test("F4 a tool is switched off", async () => {
      await hand.go("Servers/Tools");
      await hand.press("(?:tools_)?read_text_file");
      await hand.press("Switch off");
      await hand.see(/read_text_file is switched off/);
    });

    await t.test("E2 F4 a pending entry is approved", async () => {
      const text = await readFile(home.configFile, "utf8");
      await home.writeConfig(text.replace("[backends.tools]", '[backends.tools]\nenv = { LEVEL = "debug" }'));
      await hand.go("Settings/Approvals");
      await hand.press("Approve backends\\.tools.*");
      await hand.press("Approve this");
      await hand.see(/Approved: /);
    });

    await t.test("F4 a share is added, and its NAS is woken", async () => {
      await hand.go("Shares/Add a share");
      await tab.evaluate(heard(nas));
      await hand.press("Look for servers");
      await hand.press(`Choose nas at ${nas.tbHost}.*`);
      await hand.fill("User \\(required\\)", nas.username);
      await hand.fill("Password \\(required\\)", VALUE);
      await hand.press("List its shares");
      await hand.choose("Share \\(required\\)", "MEDIA");
      await hand.choose("Second address", `${nas.fallbackHost}:${nas.fallbackPort}`);
      await hand.press("Show what is added …");
      await hand.see(/secret:media/);
      await hand.press("Add it");
      await hand.see(/Mounted over the preferred route/i);
      await home.untilShare("MEDIA", ({ mount_alive }) => mount_alive, 60_000);
      assert.equal(await readFile(join(home.home, "Shares", "MEDIA", "hello.txt"), "utf8"), "of MEDIA");
      for (const cable of [nas.cables.tb, nas.cables.fallback]) await cable.setMode("refuse");
      await hand.go("Shares/Shares");
      await hand.press("MEDIA");
      // What the page says of the loss moves its buttons.
      await hand.see(/programs wait for a route/i);
      await hand.press("Wake its NAS: MEDIA");
      await hand.see(/MEDIA: .*it is awake/i);
      for (const cable of [nas.cables.tb, nas.cables.fallback]) await cable.setMode("pass");
    });
  });
}

async function phases(home: {
  glance(): Promise<import("../../src/api/contract/contract.ts").StatusReport | null>;
}) {
  return Object.fromEntries(((await home.glance())?.backends ?? []).map(({ name, phase }) => [name, phase]));
}

/** The daemon's links have nobody: the page hears the rig's two cables. */
function heard(nas: PlainRig): string {
  const server = (address: string, port: number, kind: string) => ({
    ...{ address, port, name: "nas", host: null, interface: kind, by: ["dns-sd"], mounts: [] },
    link: { kind, text: kind, speed: null },
  });
  const servers = [
    server(nas.tbHost, nas.tbPort, "thunderbolt"),
    server(nas.fallbackHost, nas.fallbackPort, "wired"),
  ];
  return `{
    const real = window.fetch;
    window.fetch = (at, how) =>
      String(at.url ?? at).endsWith("/shares/discover") ? Promise.resolve(Response.json(${JSON.stringify({ servers })})) : real(at, how);
  }`;
}
