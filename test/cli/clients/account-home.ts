// A home whose server `far` has an account for each user, with a real daemon and a real authorization server.

import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
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

export async function startAccountHome(t: TestContext, alters = {}) {
  const [home, port, issuer] = await Promise.all([
    temporaryFolder(t),
    freePort(),
    startAuthorizationServer(t, { alters }),
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
  let served = await serveHere({ home });
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
    /** The names of the tools that the user sees. */
    async listed(token: string): Promise<string> {
      await using client = await connectLight(url, { token });
      return (await client.tools()).join(" ");
    },
    /** The text of the call's answer, or of its error. */
    async whose(token: string, at = url): Promise<string> {
      await using client = await connectLight(at, { token });
      const reply = await client.ask("tools/call", { name: "whoami", arguments: {} });
      return "error" in reply ? reply.error.message : Object(reply.result["content"])[0].text;
    },
    /** Where a user signs in, as his call is told. */
    async address(token: string, at = url): Promise<string> {
      return /open (http\S+)/.exec(await self.whose(token, at))?.[1] ?? "";
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
    /** Ends the daemon, and all access tokens while nothing runs. */
    async night(): Promise<void> {
      await served.stop();
      issuer.endAccessTokens();
      served = await serveHere({ home });
      await eventually(async () => (await run(["tools", "list"])).stdout.includes("whoami"));
    },
    kept: async () =>
      (await readdir(join(home, "sign-in"))).filter((name) => /-[0-9a-f]{32}\.json$/.test(name)),
  };
  const self = { ...more, home, file, url, run, tokens, issuer, remote };
  return { ...self, [Symbol.asyncDispose]: async () => void (await served.stop()) };
}
