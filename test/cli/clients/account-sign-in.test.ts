// Servers at which each user signs in alone, with a real daemon and a real authorization server: each acts by the own
// account, and nobody by another's.
import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import {
  agree,
  startAuthorizationServer,
} from "../../gateway/backends/server-sign-in/authorization-server.ts";
import { startProtectedServer } from "../../gateway/backends/server-sign-in/protected-server.ts";
import { connectLight } from "../../mcp/light-client.ts";
import { ends } from "../../support/ends.ts";
import { eventually } from "../../support/eventually.ts";
import { freePort } from "../../support/free-port.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { runCommand, serveHere, startCommand } from "../command-line.ts";

async function startHome(t: TestContext) {
  const [home, port, issuer] = await Promise.all([
    temporaryFolder(t),
    freePort(),
    startAuthorizationServer(t, { accessTokenSecs: 3600 }),
  ]);
  const remote = await startProtectedServer(t, issuer, { isOfAccounts: true });
  const config = `[server]
port = ${port}
[backends.far]
accounts = "each"
url = "${remote.url}"
[incoming_auth]
type = "local"
users = [{ name = "ann", token = "secret:ann" }, { name = "ben", token = "secret:ben" }]
`;
  const file = join(home, "config.toml");
  await writeFile(file, config);
  const run = (args: readonly string[], stdin?: string) =>
    runCommand(args, { home, ...(stdin !== undefined && { input: stdin }) });
  const tokens = { ann: "anns-token-of-20-letters", ben: "bens-token-of-20-letters" };
  for (const [name, token] of Object.entries(tokens)) await ends(run(["secret", "set", name], token), 0);
  const served = await serveHere({ home });
  const url = `http://127.0.0.1:${port}/mcp`;
  const more = {
    /** Signs in on the command line, in the browser as the person of that name at the issuer. */
    async login(as: readonly string[], person: string) {
      const started = startCommand(["backends", "login", "far", ...as], { home });
      const address = async () => /Sign in here: (\S+)/.exec(started.stderr())?.[1];
      await eventually(async () => (await address()) !== undefined);
      await agree((await address()) ?? "", issuer.issuer, person);
      const { code, stderr } = await started.ended;
      assert.equal(code, 0, stderr);
    },
    /** The text of the call's answer, or of its error. */
    async whose(token: string): Promise<string> {
      await using client = await connectLight(url, { token });
      const reply = await client.ask("tools/call", { name: "whoami", arguments: {} });
      return "error" in reply ? reply.error.message : Object(reply.result["content"])[0].text;
    },
    async called(): Promise<string> {
      const { stdout, stderr } = await run(["call", "whoami"]);
      return stdout + stderr;
    },
    /** The newest token of Ben. */
    async token(): Promise<string> {
      const [, name = ""] =
        /name = "ben", token = "secret:([\w-]+)"/.exec(await readFile(file, "utf8")) ?? [];
      return JSON.parse(await readFile(join(home, "secrets.json"), "utf8")).secrets[name].value;
    },
    async write(text: string): Promise<void> {
      await writeFile(file, text);
      await ends(run(["reload"]), 0);
    },
    kept: async () =>
      (await readdir(join(home, "sign-in"))).filter((name) => /-[0-9a-f]{32}\.json$/.test(name)),
  };
  const self = { ...more, home, file, url, run, tokens, issuer, remote };
  return { ...self, [Symbol.asyncDispose]: async () => void (await served.stop()) };
}

test("E1 at a server with an account for each user, each signs in separately, and acts by the own account", async (t) => {
  await using b = await startHome(t);
  await b.login([], "owner-there");
  await eventually(async () => (await b.run(["tools", "list"])).stdout.includes("whoami"));
  assert.match(await b.called(), /^owner-there/);
  const needed = await b.whose(b.tokens.ben);
  assert.match(needed, /wants a login[\s\S]*mountaineer backends login far --as ben/);
  const refused = await b.run(["backends", "login", "far", "--as", "ben"]);
  assert.match(refused.stderr, /nothing was changed: --yes/);
  const unknown = await b.run(["backends", "login", "far", "--as", "eve", "--yes"]);
  assert.match(unknown.stderr, /there is no user eve/);

  await b.login(["--as", "ben", "--yes"], "ben-there");
  await b.login(["--as", "ann", "--yes"], "ann-there");
  for (let round = 0; round < 20; round += 1) {
    const [ann, ben, owner] = await Promise.all([b.whose(b.tokens.ann), b.whose(b.tokens.ben), b.called()]);
    assert.deepEqual([ann, ben], ["ann-there", "ben-there"]);
    assert.match(owner, /^owner-there/);
    // Each renews the own.
    if (round === 6) b.issuer.endAccessTokens();
  }

  await ends(b.run(["users", "renew", "ben"]), 0);
  assert.equal(await b.whose(b.tokens.ben), "ben-there");
  assert.equal(await b.whose(await b.token()), "ben-there");
  await ends(b.run(["users", "renew", "ben", "--overlap", "0"]), 0);
  const last = await b.token();
  assert.equal(await b.whose(last), "ben-there");

  const before = await readFile(b.file, "utf8");
  await ends(b.run(["secret", "set", "later"], "a-token-of-a-later-ben"), 0);
  await b.write(before.replace(/(name = "ben", token = )"[^"]*"/, '$1"secret:later"'));
  assert.match(await b.whose("a-token-of-a-later-ben"), /wants a login/, "another entry of that name");
  await b.write(before);
  await eventually(async () => (await b.whose(last)) === "ben-there");

  await ends(b.run(["backends", "logout", "far", "--as", "ann"]), 0, /signed out, and its server notified/);
  await eventually(async () => /wants a login/.test(await b.whose(b.tokens.ann)));
  assert.equal(await b.whose(last), "ben-there");

  const revoked = b.issuer.count("/token/revocation");
  await ends(b.run(["users", "remove", "ben"]), 0);
  assert.equal(b.issuer.count("/token/revocation"), revoked + 1);
  assert.deepEqual(await b.kept(), []);
});
