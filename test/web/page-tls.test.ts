// The page behind a proxy with TLS, in a real browser, and beside it on plain loopback.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { request } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { createServer } from "node:tls";
import { promisify } from "node:util";
import { eventually } from "../support/eventually.ts";
import { type Scope, temporaryFolder } from "../support/temporary-folder.ts";
import { listenTo, NO_BROWSER, openPageRig, SOON_MS } from "./page-rig.ts";

const OPENSSL = "/usr/bin/openssl";

test("the page behind a proxy with TLS", {
  skip: NO_BROWSER || (existsSync(OPENSSL) ? false : "needs openssl"),
}, async (t) => {
  await using rig = await openPageRig(t);
  const { port } = new URL(rig.url);
  const proxy = await startTlsProxy(t, Number(port));

  const isSecure = async (origin: string): Promise<boolean | undefined> => {
    const context = await rig.browser.newContext({ ignoreHTTPSErrors: true });
    context.setDefaultTimeout(SOON_MS);
    const page = await context.newPage();
    listenTo(page, rig.complaints);
    await page.goto(origin + new URL(await rig.link()).hash);
    // Signed in, and events come through.
    await page.getByText("live", { exact: true }).waitFor();
    const cookies = await context.cookies();
    assert.deepEqual(
      cookies.map(({ name }) => name),
      [`${origin.startsWith("https:") ? "__Host-" : ""}mountaineer_${port}`],
    );
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByText("You are signed out.").waitFor();
    assert.deepEqual(await context.cookies(), []);
    await context.close();
    return cookies[0]?.secure;
  };

  await t.test(
    "E2 its cookie is Secure over HTTPS, and a plain sign-in on loopback still works",
    async () => {
      assert.equal(await isSecure(`https://localhost:${proxy}/`), true);
      assert.equal(await isSecure(`${rig.url}/`), false);
      assert.equal(await isSecure(`http://localhost:${port}/`), false);
    },
  );

  await t.test("E2 the same browser signs in both ways at the same host", async () => {
    const context = await rig.browser.newContext({ ignoreHTTPSErrors: true });
    context.setDefaultTimeout(SOON_MS);
    for (const origin of [`https://localhost:${proxy}/`, `http://localhost:${port}/`]) {
      const page = await context.newPage();
      listenTo(page, rig.complaints);
      await page.goto(origin + new URL(await rig.link()).hash);
      await page.getByText("live", { exact: true }).waitFor();
    }
    assert.equal((await context.cookies()).length, 2);
    await context.close();
  });

  await t.test("E2 an https public_url says so for its host, also where the browser does not", async () => {
    const { stdout } = await rig.home.cli(["server-token"]);
    const token = /mtn_[\w-]+/.exec(stdout)?.[0] ?? "";
    const cookieFor = (host: string): Promise<string> => signIn(Number(port), host, token);
    assert.doesNotMatch(await cookieFor(`localhost:${proxy}`), /Secure/);
    await rig.home.cli(["config", "set", "server.public_url", `https://localhost:${proxy}/mcp`]);
    await eventually(async () => /Secure/.test(await cookieFor(`localhost:${proxy}`)));
    assert.doesNotMatch(await cookieFor(`localhost:${port}`), /Secure/);
    assert.equal(await isSecure(`${rig.url}/`), false);
  });

  await t.test("no page complained", () => assert.deepEqual(rig.complaints, []));
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

/** As a proxy that leaves the Origin away would; resolves with the cookie. */
function signIn(port: number, host: string, token: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = { Host: host, "X-Mountaineer": "1", "Content-Type": "application/json" };
    const asked = request(
      { port, host: "127.0.0.1", path: "/page/v1/session", method: "POST", headers },
      (answer) => {
        answer.resume();
        if (answer.statusCode === 204) resolve(String(answer.headers["set-cookie"]));
        else reject(new Error(`answered ${answer.statusCode}`));
      },
    );
    asked.on("error", reject);
    asked.end(JSON.stringify({ token }));
  });
}
