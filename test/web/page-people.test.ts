// People in the page, with a real daemon, a real browser and a real authorization server: added, connected, renewed, removed, and
// what a tab without the owner's right, a second tab, a user and a foreign page get.
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { Page } from "playwright-core";
import { startAuthorizationServer } from "../gateway/backends/server-sign-in/authorization-server.ts";
import { startProtectedServer } from "../gateway/backends/server-sign-in/protected-server.ts";
import { connectLight } from "../mcp/light-client.ts";
import { eventually } from "../support/eventually.ts";
import type { PageRig } from "./page-rig.ts";
import { NO_BROWSER, openPageRig, openView, sideways, TOOLS_SERVER, violations } from "./page-rig.ts";

const NAME = '<img src=x onerror="document.title=1">';
const MORE = (remote: string) => `
[backends.far]
url = "${remote}"
accounts = "each"
[backends.keyed]
url = "${remote}"
accounts = "each"
headers = { Authorization = "\${user:desk}" }
[backends.more]
command = "${process.execPath}"
args = ["${TOOLS_SERVER}"]
[conflict_resolution]
strategy = "prefix"
[audit]
enabled = true
[authorization]
default_effect = "deny"
[[authorization.policies]]
effect = "deny"
roles = ["reader"]
resources = ["tool:*sum"]
[[authorization.policies]]
effect = "allow"
roles = ["dev"]
`;

async function unlock(rig: PageRig, page: Page): Promise<void> {
  await page.getByRole("button", { name: "Unlock" }).click();
  const typed = await page.getByText(/^MOUNTAINEER_HOME=\S+ mountaineer admin /).textContent();
  assert.equal((await rig.home.cli((typed ?? "").split(" ").slice(2))).code, 0);
  await page.getByRole("button", { name: /^Owner for / }).waitFor();
}

/** Adds a user by the form; resolves with the token that the dialog shows. */
async function add(page: Page, name: string, roles = ""): Promise<string> {
  await page.getByLabel("Name (required)").fill(name);
  await page.getByLabel("Roles").fill(roles);
  await page.getByRole("button", { name: "Add", exact: true }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText(/is added$|Add the first user: /).waitFor();
  const isFirst = await dialog.getByText("Add the first user").first().isVisible();
  if (isFirst) await dialog.getByRole("button", { name: "Add the first user" }).click();
  return shownToken(page);
}

async function shownToken(page: Page): Promise<string> {
  const header = await page
    .getByRole("dialog")
    .getByText(/^Authorization: Bearer /)
    .first()
    .textContent();
  assert.deepEqual(await violations(page), []);
  return (header ?? "").replace("Authorization: Bearer ", "");
}

/** The files of the home, but for the secrets, that have the text. */
async function filesWith(home: string, text: string): Promise<string[]> {
  const entries = await readdir(home, { recursive: true, withFileTypes: true });
  const paths = entries.filter((one) => one.isFile()).map((one) => join(one.parentPath, one.name));
  const texts = await Promise.all(paths.map((path) => readFile(path, "latin1").catch(() => "")));
  return paths.filter((path, at) => texts[at]?.includes(text) && !path.endsWith("secrets.json"));
}

test("people in the page", { skip: NO_BROWSER }, async (t) => {
  const it = t.test.bind(t);
  const issuer = await startAuthorizationServer(t, {});
  const remote = await startProtectedServer(t, issuer, { isOfAccounts: true });
  await using rig = await openPageRig(t, { more: () => MORE(remote.url), kept: true });
  const { page, context } = await rig.signedIn({ view: "People" });
  const endpoint = `${rig.url}/mcp`;
  const dialog = page.getByRole("dialog");
  const isLetIn = async (token: string): Promise<boolean> =>
    connectLight(endpoint, { token }).then(
      async (client) => (await client[Symbol.asyncDispose](), true),
      () => false,
    );

  await it("E1 F4 without the owner's right nothing of people is changed, even with allow_commands", async () => {
    await page.getByText(/^To add people and let programs in, run in a terminal/).waitFor();
    assert.ok(await page.getByRole("button", { name: "Add", exact: true }).isDisabled());
    const session = String(
      await page.evaluate("sessionStorage.mountaineer ?? Object.values(sessionStorage)[0]"),
    );
    const bearer = /[\w-]{40,}/.exec(session)?.[0] ?? "";
    const ask = async (to: string, headers: Readonly<Record<string, string>> = {}) => {
      const [path, body] = to.startsWith("end")
        ? ["account", { user: "eve", backend: "far", end: to === "end" }]
        : ["change", { user: "eve", to }];
      const sent = { "Content-Type": "application/json", Authorization: `Bearer ${bearer}`, ...headers };
      const request = { method: "POST", headers: sent, body: JSON.stringify(body) };
      const response = await fetch(`${rig.url}/manage/v1/people/${path}`, request);
      return `${response.status} ${(await response.text()).slice(0, 60)}`;
    };
    for (const to of ["added", "renewed", "removed", "end", "end not"])
      assert.match(await ask(to), /^403 .*owner_only/, to);
    assert.match(await ask("added", { "X-Mountaineer-Owner": "a".repeat(43) }), /^403 .*owner_only/);
    assert.match(await ask("added", { Origin: "https://evil.example" }), /^403 /);
    assert.match(await ask("added", { Authorization: "Bearer wrong" }), /^401 /);
    assert.doesNotMatch(await readFile(rig.home.configFile, "utf8"), /eve/);
  });

  let ben = "";
  await it("E1 a person is added: the token is shown once, lets in, and is nowhere else", async () => {
    await unlock(rig, page);
    const heard: string[] = [];
    page.on(
      "response",
      (one) =>
        void one.text().then(
          (text) => heard.push(text),
          () => {},
        ),
    );
    ben = await add(page, "ben", "dev, reader");
    await dialog.getByText(`${endpoint}`, { exact: true }).waitFor();
    await page.getByRole("button", { name: "Done" }).click();
    assert.equal(await isLetIn(ben), true);
    assert.equal(await isLetIn(""), false);
    await page.getByRole("button", { name: "ben", exact: true }).click();
    await page.getByRole("button", { name: "2 servers: tools, more: denied by policy 1" }).waitFor();
    const names = (await page.locator("body").ariaSnapshot()).match(/(?<=- .?button ").*?(?=")/g) ?? [];
    assert.equal(new Set(names).size, names.length, `${names}`);
    assert.deepEqual(await violations(page), []);
    const seen = await page.evaluate(
      "JSON.stringify([document.documentElement.outerHTML, location.href, { ...localStorage }, { ...sessionStorage }, history.state])",
    );
    assert.ok(!String(seen).includes(ben), "the page kept it");
    assert.equal(heard.filter((text) => text.includes(ben)).length, 1, "it came in one answer");
    assert.deepEqual(await filesWith(rig.home.home, ben), []);
    const told = await fetch(`${rig.url}/manage/v1/people`, {
      method: "POST",
      headers: { Authorization: `Bearer ${ben}`, "Content-Type": "application/json" },
      body: "{}",
    });
    assert.equal(told.status, 401, "a user's token does not open the API");
  });

  await it("E1 names are text, a control character is refused, and of two tabs that add one name one does", async () => {
    await add(page, NAME);
    await page.getByRole("button", { name: "Done" }).click();
    await page.getByRole("button", { name: NAME, exact: true }).waitFor();
    assert.match(await page.title(), /^People/);
    const other = await context.newPage();
    await other.goto(await rig.link());
    await openView(other, "People");
    await unlock(rig, other);
    const both = await Promise.allSettled(
      [page, other].map((tab) => {
        tab.setDefaultTimeout(10_000);
        return add(tab, "zoe", "dev");
      }),
    );
    const [token = ""] = both.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    assert.deepEqual(both.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
    assert.equal(await isLetIn(token), true);
    if (both[0]?.status === "fulfilled") await page.getByRole("button", { name: "Done" }).click();
    await other.close();
    await openView(page, "Settings/Secrets");
    await page.reload();
    await unlock(rig, page);
    await openView(page, "People");
    await page.getByLabel("Name (required)").fill("a\u0007b");
    await page.getByRole("button", { name: "Add", exact: true }).click();
    await page
      .getByText(/^The user a.*b: /)
      .first()
      .waitFor();
    assert.doesNotMatch((await rig.home.cli(["secret", "list"])).stdout, /a-b-token/);
  });

  await it("E1 the owner copies the address at which ben signs in, sees his account, and ends it", async () => {
    await page.getByRole("button", { name: "ben", exact: true }).click();
    await page.getByText("mountaineer users secret set ben desk").waitFor();
    await page.getByRole("button", { name: "Sign-in address …: ben at far" }).click();
    const address = (await dialog.getByText(/\/connect\//).textContent()) ?? "";
    await dialog.getByRole("button", { name: "Close" }).click();
    const own = await (await rig.browser.newContext()).newPage();
    await own.goto(address);
    await own.fill("input[name=token]", ben);
    await own.click("button");
    await own.waitForURL(`${issuer.issuer}/**`);
    await own.fill("input[name=login]", "ben-there");
    await own.fill("input[name=password]", "any");
    await own.click("button[type=submit]");
    await own.waitForSelector("input[name=prompt][value=consent]", { state: "attached" });
    await own.click("button[type=submit]");
    await own.getByText("becomes the one of ben at the server far").waitFor();
    await own.click("button");
    await own.getByText("is now the one of ben").waitFor();
    await openView(page, "Settings/Clients");
    await openView(page, "People");
    await page.getByRole("button", { name: "ben", exact: true }).click();
    await page.getByText(/^signed in/).waitFor();
    assert.deepEqual(await violations(page), []);
    await page.getByRole("button", { name: "Sign out …: ben at far" }).click();
    await dialog.getByRole("button", { name: "Sign out" }).click();
    await page.getByText("ben at far is signed out").first().waitFor();
    await page.getByText("not signed in").waitFor();
  });

  await it("E1 a rule opens the editor at its line", async () => {
    await page.getByRole("link", { name: "policy 1" }).first().click();
    const line = page.locator(".cm-activeLine", { hasText: "[[authorization.policies]]" });
    assert.match((await line.locator("xpath=following-sibling::*[1]").textContent()) ?? "", /deny/);
    await openView(page, "People");
  });

  await it("E1 a renewed token works, the one before for an hour, and neither once the person is removed", async () => {
    await page.getByRole("button", { name: "ben", exact: true }).click();
    await page.getByRole("button", { name: "New token: ben" }).click();
    await dialog.getByRole("button", { name: "New token" }).click();
    await dialog.getByText("ben is renewed").waitFor();
    const renewed = await shownToken(page);
    await page.getByRole("button", { name: "Done" }).click();
    assert.notEqual(renewed, ben);
    assert.deepEqual([await isLetIn(renewed), await isLetIn(ben)], [true, true]);
    await page.getByRole("button", { name: "Remove: ben" }).click();
    await dialog.getByRole("button", { name: "Remove", exact: true }).click();
    await page.getByText("ben is removed").first().waitFor();
    await eventually(async () => !(await isLetIn(renewed)) && !(await isLetIn(ben)));
    assert.equal(await sideways(page), 0);
    assert.deepEqual(
      rig.complaints.filter((text) => !/status of (403|400|422)/.test(text)),
      [],
    );
  });

  await it("E1 a lost token is renewed, and who is removed loses all although the tab is closed at once", async () => {
    await add(page, "mia");
    await page.getByRole("button", { name: "Done" }).click();
    assert.equal((await rig.home.cli(["secret", "remove", "mia-token"])).code, 0);
    await page.getByRole("button", { name: "mia", exact: true }).click();
    await page.getByRole("button", { name: "New token: mia" }).click();
    await dialog.getByRole("button", { name: "New token" }).click();
    await dialog.getByText("mia is renewed").waitFor();
    await dialog.getByText(/must be stored again: the token before is not known/).waitFor();
    const renewed = await shownToken(page);
    await page.getByRole("button", { name: "Done" }).click();
    assert.equal(await isLetIn(renewed), true);
    await page.getByRole("button", { name: "Remove: mia" }).click();
    const asked = page.waitForRequest(/people\/change$/);
    await dialog.getByRole("button", { name: "Remove", exact: true }).click();
    await asked;
    await page.close();
    await eventually(async () => !/mia/.test((await rig.home.cli(["secret", "list"])).stdout));
    assert.equal(await isLetIn(renewed), false);
  });
});
