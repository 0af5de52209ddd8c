// The page behind a proxy with TLS, in a real browser, and beside it on plain loopback.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { createServer } from "node:tls";
import { promisify } from "node:util";
import { withoutSecret } from "../../src/cli/sessions/web-browser.ts";
import { eventually } from "../support/eventually.ts";
import { type Scope, temporaryFolder } from "../support/temporary-folder.ts";
import { listenTo, NO_BROWSER, openPageRig, openView, SOON_MS, violations } from "./page-rig.ts";

const OPENSSL = "/usr/bin/openssl";

test("the page behind a proxy with TLS", {
  skip: NO_BROWSER || (existsSync(OPENSSL) ? false : "needs openssl"),
}, async (t) => {
  const it = t.test.bind(t);
  await using rig = await openPageRig(t);
  const { port } = new URL(rig.url);
  const proxy = await startTlsProxy(t, Number(port));

  await it("E2 one browser signs in over HTTPS and on loopback beside it, without a cookie", async () => {
    const context = await rig.browser.newContext({ ignoreHTTPSErrors: true });
    context.setDefaultTimeout(SOON_MS);
    for (const origin of [`https://localhost:${proxy}/`, `${rig.url}/`, `http://localhost:${port}/`]) {
      const page = await context.newPage();
      listenTo(page, rig.complaints);
      await page.goto(origin + new URL(await rig.link()).hash);
      // Signed in, and events come through.
      await page.getByText("live", { exact: true }).waitFor();
    }
    assert.deepEqual(await context.cookies(), []);
    await context.close();
  });

  await it("E2 the file that opens the page leads to it, and the link is used up", async () => {
    const context = await rig.browser.newContext();
    context.setDefaultTimeout(SOON_MS);
    const page = await context.newPage();
    listenTo(page, rig.complaints);
    await page.goto(await withoutSecret(await rig.link(), rig.home.home, []));
    await page.getByText("live", { exact: true }).waitFor();
    assert.equal(new URL(page.url()).hash, "");
    await context.close();
  });

  await it("F2 a new tab joins the session of the others, and a sign-out in one is one in all", async () => {
    const { page, context } = await rig.signedIn();
    const other = await context.newPage();
    listenTo(other, rig.complaints);
    await other.goto(rig.url);
    await other.getByText("live", { exact: true }).waitFor();
    await other.reload();
    await other.getByText("live", { exact: true }).waitFor();
    await other.getByRole("button", { name: "Sign out" }).click();
    await page.getByText("Signed out in another tab.").waitFor();
    await context.close();
  });

  await it("E2 another port of this host, visited in the same browser, receives nothing that would admit it", async () => {
    const { context } = await rig.signedIn();
    const heard: string[] = [];
    const spy = createHttpServer((request, response) => {
      heard.push(request.rawHeaders.join("\n"));
      response.writeHead(200, { "Content-Type": "text/html" }).end(`<a href="/next">next</a>`);
    });
    spy.listen(0, "127.0.0.1");
    await once(spy, "listening");
    t.after(() => spy.close());
    const { port: spied } = spy.address() as AddressInfo;
    const page = await context.newPage();
    await page.goto(`http://127.0.0.1:${spied}/`);
    await page.getByText("next").click();
    await eventually(() => heard.some((head) => head.includes(`127.0.0.1:${spied}/`)));
    for (const head of heard) {
      const lines = head.split("\n");
      assert.ok(!lines.some((line) => /^(cookie|authorization)$/i.test(line)), head);
    }
    assert.equal(
      await page.evaluate("sessionStorage.length + localStorage.length + document.cookie.length"),
      0,
    );
    await context.close();
  });

  await it("F4 the owner's code, typed in a terminal, opens one tab until it is locked", async () => {
    await rig.home.cli(["config", "set", "server.management.allow_commands", "false"]);
    const { page, context } = await rig.signedIn({ view: "Settings/Configuration" });
    const ask = page.getByRole("button", { name: "Unlock" });
    await ask.click();
    const typed = await page.getByText(/^MOUNTAINEER_HOME=\S+ mountaineer admin /).textContent();
    const { code, stderr } = await rig.home.cli((typed ?? "").split(" ").slice(2));
    assert.equal(code, 0, stderr);
    await page.getByText("This tab may change which programs run, for 15 min").waitFor();
    assert.equal(await ask.count(), 0);
    assert.deepEqual(await violations(page), []);
    const other = await context.newPage();
    listenTo(other, rig.complaints);
    await other.goto(rig.url);
    await openView(other, "Settings/Configuration");
    await other.getByRole("button", { name: "Unlock" }).waitFor();
    await page.getByRole("button", { name: "Owner for" }).click();
    await page.getByRole("button", { name: "Lock", exact: true }).click();
    await ask.waitFor();
    await context.close();
  });

  await it("no page complained", () => assert.deepEqual(rig.complaints, []));
});

/** Takes TLS away, and passes on what is in it; resolves with its port. */
async function startTlsProxy(t: Scope, to: number): Promise<number> {
  const folder = await temporaryFolder(t);
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
  const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-days", "2"];
  await promisify(execFile)(OPENSSL, ["req", "-x509", ...kind, ...names, "-keyout", key, "-out", cert]);
  const server = createServer({ key: await readFile(key), cert: await readFile(cert) }, (client) => {
    const daemon = connect(to, "127.0.0.1");
    for (const [one, other] of [
      [client, daemon],
      [daemon, client],
    ] as const) {
      one.on("error", () => other.destroy());
      one.on("close", () => other.destroy());
      one.pipe(other);
    }
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", resolve);
  await promise;
  t.after(() => server.close());
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  return address.port;
}
