// What a person adds in the page: a secret, a server and a share, with the owner's code, before a real daemon and a real NAS.
import assert from "node:assert/strict";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { test } from "node:test";
import type { Page } from "playwright-core";
import { startPlainRig } from "../../src/demo/stage/plain-rig.ts";
import { missingForSmb } from "../../src/demo/stage/smb-available.ts";
import { eventually } from "../support/eventually.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { HOSTILE, mountsEnd, startRegistry } from "./add-stage.ts";
import { NO_BROWSER, openPageRig, openView, TOOLS_SERVER, violations } from "./page-rig.ts";

const VALUE = "typed-only-here-4071";

/** Each form that a tab without the owner's right shows: what is typed, and the buttons up to its request. */
const LOCKED: readonly (readonly [string, Readonly<Record<string, string>>, ...string[]])[] = [
  [
    "Servers/Add a server",
    { "Name (required)": "a", "Command or address (required)": "x" },
    "Show what runs …",
    "Add it",
  ],
  ["Servers/Add a server", { "Part of its name (required)": "files" }, "Search"],
  ["Servers/Import", { "JSON from a guide, or from another program's file": "{}" }, "Show what runs …"],
  ["Shares/Add a share", {}, "Look for servers"],
  [
    "Shares/Add a share",
    { "Address (required)": "nas", "User (required)": "ann", "Password (required)": "p" },
    "List its shares",
  ],
  ["People", { "Code (required)": "7K4-9QX", "Acts as (required)": "ann" }, "Show what it asks for"],
  ["Settings/Secrets", { "Name (required)": "stolen", "Value (required)": "v" }, "Save"],
];

test("adding in the page", {
  skip: NO_BROWSER || ((await missingForSmb("/nowhere")) ?? false),
}, async (t) => {
  const it = t.test.bind(t);
  const registry = await startRegistry(t);
  const userHome = await temporaryFolder(t);
  await using rig = await openPageRig(t, { env: { MOUNTAINEER_REGISTRY: registry, HOME: userHome } });
  await using nas = await startPlainRig({ shares: ["CORE", "MEDIA"], password: VALUE });
  await writeFile(join(nas.exportPath("MEDIA"), "hello.txt"), "of MEDIA");
  await using _mounts = mountsEnd(rig.home);
  await rig.home.cli(["config", "set", "server.management.allow_commands", "false"]);
  await rig.home.cli(["backends", "remove", "tools"]);
  const { page } = await rig.signedIn({ view: "Settings/Secrets" });

  await it("F4 without the owner's code forms are shown disabled, with the command, and the daemon refuses them", async () => {
    const locked = page.locator("fieldset.lockable");
    for (const view of new Set([...LOCKED.map(([view]) => view), "Settings/Clients"])) {
      await openView(page, view);
      await page.getByRole("button", { name: "Unlock" }).waitFor();
      await locked.getByRole("button").first().waitFor();
      assert.equal(await locked.locator("input:enabled, textarea:enabled, button:enabled").count(), 0, view);
      await page.getByText(/^To .*, run in a terminal of the daemon's machine:$/).waitFor();
      await page.getByText(/MOUNTAINEER_HOME=\S+ mountaineer open --admin/).waitFor();
      await page.getByRole("button", { name: "Copy" }).last().waitFor();
      assert.deepEqual(await violations(page), [], view);
    }
    const before = await readFile(rig.home.configFile, "utf8");
    for (const [view, fields, ...buttons] of LOCKED) {
      await openView(page, view);
      // As by a page that was tampered with.
      await locked.evaluate((form) => form.removeAttribute("disabled"));
      for (const [field, value] of Object.entries(fields))
        await locked.getByLabel(field, { exact: true }).fill(value);
      const refused = page.waitForResponse((response) => response.status() === 403);
      for (const name of buttons) await page.getByRole("button", { name, exact: true }).click();
      await refused;
    }
    // The browser's own line about the last one may come later than the answer.
    await eventually(() => rig.complaints.length >= LOCKED.length);
    rig.complaints.length = 0;
    assert.doesNotMatch((await rig.home.cli(["secret", "list"])).stdout, /stolen/);
    assert.equal(await readFile(rig.home.configFile, "utf8"), before);
    await page.reload();
    await page.getByRole("button", { name: "Unlock" }).click();
    const typed = await page.getByText(/^MOUNTAINEER_HOME=\S+ mountaineer admin /).textContent();
    assert.equal((await rig.home.cli((typed ?? "").split(" ").slice(2))).code, 0);
    await page.getByRole("form", { name: "Store a secret" }).waitFor();
  });

  await it("F1 F4 a client is connected, once its file's change was shown, and disconnected", async () => {
    const file = join(userHome, ".cursor", "mcp.json");
    const text = `{ "mcpServers": { "x": { "command": "x", "env": { "API_TOKEN": "${VALUE}" } } } }\n`;
    await mkdir(dirname(file));
    await writeFile(file, text);
    await openView(page, "Settings/Clients");
    const dialog = page.getByRole("dialog");
    await page.getByRole("button", { name: "Connect: Cursor" }).click();
    await dialog.getByText(/^\+ *"mountaineer": \{/).waitFor();
    await dialog.getByText(file, { exact: true }).waitFor();
    assert.ok(!(await dialog.textContent())?.includes(VALUE));
    assert.deepEqual(await violations(page), []);
    await dialog.getByRole("button", { name: "Change it" }).click();
    await page.getByText("uses this gateway", { exact: true }).waitFor();
    const written = JSON.parse(await readFile(file, "utf8")).mcpServers;
    assert.deepEqual(Object.keys(written), ["x", "mountaineer"]);
    assert.equal(written.mountaineer.env.MOUNTAINEER_HOME, rig.home.home);
    assert.deepEqual(await violations(page), []);
    await page.getByRole("button", { name: "Disconnect: Cursor" }).click();
    await dialog.getByRole("button", { name: "Change it" }).click();
    await page.getByRole("button", { name: "Connect: Cursor", exact: true }).waitFor();
    assert.equal(await readFile(file, "utf8"), text);
  });

  await it("F4 a server is added by its command, which is shown whole, with its secret", async () => {
    await openView(page, "Servers/Add a server");
    const form = page.getByRole("form", { name: "Add by command or address" });
    const dialog = page.getByRole("dialog");
    await form.getByLabel("Name (required)").fill("more");
    await form
      .getByLabel("Command or address (required)")
      .fill(`${process.execPath} ${TOOLS_SERVER} '${HOSTILE}'`);
    await form.getByRole("button", { name: "Add a variable or header" }).click();
    await form.getByLabel("Name 1").fill("TOKEN");
    await form.getByLabel("Secret 1").check();
    await form.getByLabel("Value 1").fill(VALUE);
    await openView(page, "Shares/Add a share");
    await openView(page, "Servers/Add a server");
    assert.equal(await form.getByLabel("Name 1").inputValue(), "TOKEN", "kept over a change of view");
    assert.equal(await form.getByLabel("Value 1").inputValue(), "", "but a secret");
    await form.getByLabel("Value 1").fill(VALUE);
    const submit = form.getByRole("button", { name: "Show what runs …" });
    await submit.click();
    await dialog.getByText(`${process.execPath} ${TOOLS_SERVER} '${HOSTILE}'`).waitFor();
    await dialog.getByText("TOKEN = secret:more-token").waitFor();
    await dialog.getByText(/HTTP clients must send a token/).waitFor();
    await dialog.getByText('token = "secret:gateway-token"').waitFor();
    assert.deepEqual(await violations(page), []);
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    assert.doesNotMatch((await rig.home.cli(["secret", "list"])).stdout, /more-token/);
    await submit.click();
    await dialog.getByRole("button", { name: "Add it" }).click();
    await page
      .getByRole("row", { name: /^more\b/ })
      .getByText("Ready")
      .waitFor();
    assert.match((await rig.home.cli(["secret", "list"])).stdout, /gateway-token[\s\S]*more-token/);
    const written = await readFile(join(rig.home.home, "config.toml"), "utf8");
    assert.match(written, /\[incoming_auth\]\ntype = "local"\ntoken = "secret:gateway-token"\n/);
  });

  await it("F4 an addition is refused whole if its name is taken or the text is not a configuration", async () => {
    await openView(page, "Servers/Add a server");
    const form = page.getByRole("form", { name: "Add by command or address" });
    await form.getByLabel("Name (required)").fill("more");
    await form.getByLabel("Command or address (required)").fill("https://127.0.0.1:9/mcp");
    await form.getByRole("button", { name: "Show what runs …" }).click();
    await page.getByText("there is a server called more").first().waitFor();
    await form.getByLabel("Name (required)").fill("elsewhere");
    await form.getByLabel("Command or address (required)").fill(registry);
    await form.getByRole("button", { name: "Show what runs …" }).click();
    await page.getByRole("dialog").getByText(`${registry}/mcp`, { exact: true }).waitFor();
    await page.keyboard.press("Escape");
    await form.getByLabel("Command or address (required)").fill("https://127.0.0.1:9/mcp");
    await form.getByRole("button", { name: "Add a variable or header" }).click();
    await form.getByLabel("Name 1").fill("bad header");
    await form.getByLabel("Secret 1").check();
    await form.getByLabel("Value 1").fill(VALUE);
    await form.getByRole("button", { name: "Show what runs …" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Add it" }).click();
    await page
      .getByText(/^Add the server: /)
      .last()
      .waitFor();
    await eventually(async () => !(await rig.home.cli(["secret", "list"])).stdout.includes("elsewhere"));
  });

  await it("F4 a server of the registry is added with its inputs, and the recipients of data are shown", async () => {
    await openView(page, "Servers/Add a server");
    const search = page.getByRole("form", { name: "Search the registry" });
    await search.getByLabel("Part of its name (required)").fill("weather");
    await search.getByRole("button", { name: "Search" }).click();
    await page.getByText(HOSTILE).waitFor();
    await page.getByRole("button", { name: "Choose io.github.example/weather" }).click();
    const form = page.getByRole("form", { name: "What it wants" });
    await form.getByLabel("Name here (required)").fill("weather");
    await form.getByLabel("key (required)").fill(VALUE);
    assert.deepEqual(await violations(page), []);
    await form.getByRole("button", { name: "Show what runs …" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("https://127.0.0.1:9/mcp").waitFor();
    await dialog.getByText("Authorization = Bearer ${secret:weather-key}").waitFor();
    assert.equal(await dialog.getByText(/HTTP clients must send a token/).count(), 0);
    await dialog.getByRole("button", { name: "Add it" }).click();
    await page.getByRole("row", { name: /^weather\b/ }).waitFor();
    assert.match((await rig.home.cli(["secret", "list"])).stdout, /weather-key/);
  });

  await it("F4 a missing secret is set by a button beside it, which leads to its value", async () => {
    await rig.home.cli(["backends", "add", "needy", "--url", "http://127.0.0.1:9/mcp", "--wait", "0"]);
    await rig.home.cli(["backends", "edit", "needy", "--set", "headers.X-Key=secret:needy-key"]);
    await openView(page, "Servers/Servers");
    await openView(page, "Settings/Secrets");
    await page.getByRole("button", { name: "Set: needy-key" }).click();
    await page.keyboard.type(VALUE);
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "Delete: needy-key" }).waitFor();
    await rig.home.cli(["secret", "remove", "needy-key"]);
    await rig.home.cli(["backends", "remove", "needy"]);
  });

  await it("F4 a share is added: chosen by its address, with a login that is tried, over both cables", async () => {
    await openView(page, "Shares/Add a share");
    await hear(page, nas);
    await page.getByRole("button", { name: "Look for servers" }).click();
    await page.getByRole("button", { name: `Choose ${HOSTILE} at ${nas.tbHost}` }).click();
    const login = page.getByRole("form", { name: "Log in" });
    assert.equal(await login.getByLabel("Address (required)").inputValue(), `${nas.tbHost}:${nas.tbPort}`);
    await login.getByLabel("User (required)").fill(nas.username);
    await login.getByLabel("Password (required)").fill("not this one");
    await login.getByRole("button", { name: "List its shares" }).click();
    await page
      .getByText(/refuses this login/)
      .first()
      .waitFor();
    await login.getByLabel("Password (required)").fill(VALUE);
    await login.getByRole("button", { name: "List its shares" }).click();
    const form = page.getByRole("form", { name: "Choose a share" });
    await form.getByLabel("Share (required)").selectOption({ label: "MEDIA" });
    await form
      .getByLabel("Second address")
      .selectOption({ label: `${nas.fallbackHost}:${nas.fallbackPort}` });
    assert.deepEqual(await violations(page), []);
    await form.getByRole("button", { name: "Show what is added …" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText(`thunderbolt_host = "${nas.tbHost}:${nas.tbPort}"`).waitFor();
    await dialog.getByText("secret:media", { exact: true }).waitFor();
    await dialog.getByRole("button", { name: "Add it" }).click();
    const row = page.getByRole("row", { name: /^MEDIA\b/ });
    await row.getByText("Mounted over the preferred route").waitFor();
    assert.equal(await readFile(join(rig.home.home, "Shares", "MEDIA", "hello.txt"), "utf8"), "of MEDIA");
  });

  await it("F4 a typed secret is stored only with the secrets; a server's name is text", async () => {
    assert.equal(await page.title(), "Shares · Mountaineer");
    const stored =
      "JSON.stringify([document.documentElement.innerHTML, { ...localStorage }, { ...sessionStorage }, history.state])";
    assert.ok(!String(await page.evaluate(stored)).includes(VALUE));
    for (const name of await readdir(rig.home.home, { recursive: true })) {
      if (!/\.(?:log|toml|json|jsonl|txt)$/.test(name) || /^(?:Shares|volumes|secrets)/.test(name)) continue;
      const text = await readFile(join(rig.home.home, name), "utf8").catch(() => "");
      assert.ok(!text.includes(VALUE), name);
    }
    assert.deepEqual(rig.complaints, []);
  });
});

/** The daemon's links have nobody: it hears the rig's two cables, by a name that is no name. */
async function hear(page: Page, nas: Awaited<ReturnType<typeof startPlainRig>>): Promise<void> {
  const server = (address: string, port: number, name: string) => ({
    ...{ address, port, name: HOSTILE, host: null, interface: name, by: ["dns-sd"], mounts: [] },
    link: { kind: name === "tb0" ? "thunderbolt" : "wired", text: HOSTILE, speed: null },
  });
  const servers = [server(nas.tbHost, nas.tbPort, "tb0"), server(nas.fallbackHost, nas.fallbackPort, "eth0")];
  await page.route("**/manage/v1/shares/discover", (route) => route.fulfill({ json: { servers } }));
}
