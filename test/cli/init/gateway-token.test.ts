// The token that `init` makes for clients over HTTP, with the real program.
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { wantsToken } from "../../../src/cli/init/gateway-token.ts";
import { accepted } from "../../config/support.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { runCommand } from "../command-line.ts";

const run = (home: string, args: readonly string[]) => runCommand(args, { home });
const BACKEND = ["--backend", "files", "--command", "sh"];

async function keptTokens(home: string): Promise<readonly string[]> {
  const { stdout } = await run(home, ["secret", "list", "--json"]);
  const { secrets } = JSON.parse(stdout);
  return secrets.map(({ name, kept }: { readonly name: string; readonly kept: string }) => `${name} ${kept}`);
}

test("E1 the first server comes with a token that is kept, named, and in no output of a script", async (t) => {
  const home = join(await temporaryFolder(t), "home");
  const made = await run(home, ["init", ...BACKEND, "--json"]);
  assert.equal(made.code, 0, made.stderr);
  assert.equal(JSON.parse(made.stdout).token, "secret:gateway-token");
  assert.deepEqual(await keptTokens(home), ["gateway-token file"]);
  const config = await readFile(join(home, "config.toml"), "utf8");
  assert.match(config, /\[incoming_auth\]\ntype = "local"\ntoken = "secret:gateway-token"\n/);
  const kept = await readFile(join(home, "secrets.json"), "utf8");
  const [token = ""] = /[\w-]{43}/.exec(kept) ?? [];
  assert.equal(Buffer.from(token, "base64url").length, 32);
  assert.ok(!`${made.stdout}${made.stderr}${config}`.includes(token));
  // Begun anew, the token that agents have already goes on.
  await writeFile(join(home, "config.toml"), "");
  const again = await run(home, ["init", ...BACKEND]);
  assert.equal(again.code, 0, again.stderr);
  assert.equal(await readFile(join(home, "secrets.json"), "utf8"), kept);
});

test("E1 no client of a gateway without a token is shut out by the way", async (t) => {
  const home = join(await temporaryFolder(t), "home");
  const open = await run(home, ["init", ...BACKEND, "--no-token"]);
  assert.equal(open.code, 0, open.stderr);
  const path = join(home, "config.toml");
  assert.doesNotMatch(await readFile(path, "utf8"), /incoming_auth/);
  const more = await run(home, ["init", "--add", "--backend", "more", "--command", "sh"]);
  assert.equal(more.code, 0, more.stderr);
  assert.doesNotMatch(await readFile(path, "utf8"), /incoming_auth/);
  const asked = await run(home, ["init", "--add", "--token"]);
  assert.equal(asked.code, 0, asked.stderr);
  assert.match(await readFile(path, "utf8"), /\[incoming_auth\]/);
  assert.match(asked.stdout, /secret:gateway-token/);
  const twice = await run(home, ["init", "--add", "--token"]);
  assert.deepEqual([twice.code, /says already who may come in/.test(twice.stderr)], [2, true]);
});

test("E1 a token is made where none can be missed", async () => {
  const empty = (await accepted("")).config;
  const serving = (await accepted('[backends.files]\ncommand = "sh"\n')).config;
  const wish = (change: Partial<Parameters<typeof wantsToken>[0]>) =>
    wantsToken({ asked: null, text: "", before: null, addsBackend: true, ...change });
  assert.equal(wish({}), true);
  assert.equal(wish({ before: empty }), true);
  assert.equal(wish({ addsBackend: false }), false);
  assert.equal(wish({ before: serving }), false);
  assert.equal(wish({ before: serving, asked: true }), true);
  assert.equal(wish({ asked: false }), false);
  for (const text of [
    "[incoming_auth]\n",
    "a = 1\n  [[incoming_auth.users]]",
    'incoming_auth.type = "x"',
    "incoming_auth:\n",
  ]) {
    assert.equal(wish({ before: empty, text }), false, text);
    assert.throws(() => wish({ asked: true, text }), { code: "usage" }, text);
  }
  assert.equal(wish({ before: empty, text: "# [incoming_auth]\n" }), true);
});

test("E1 backends add makes the token with the first server, too, and none with the next one", async (t) => {
  const home = join(await temporaryFolder(t), "home");
  const path = join(home, "config.toml");
  const first = await run(home, ["backends", "add", "files", "--disabled", "--", "sh"]);
  assert.equal(first.code, 0, first.stderr);
  assert.match(
    await readFile(path, "utf8"),
    /\[incoming_auth\]\ntype = "local"\ntoken = "secret:gateway-token"\n/,
  );
  assert.deepEqual(await keptTokens(home), ["gateway-token file"]);
  assert.match(
    first.stdout,
    /Agents come in over HTTP with the token[\s\S]*--header "Authorization: Bearer TOKEN"/,
  );
  const [token = ""] = /[\w-]{43}/.exec(await readFile(join(home, "secrets.json"), "utf8")) ?? [];
  assert.ok(token !== "" && !`${first.stdout}${first.stderr}`.includes(token));
  const next = await run(home, ["backends", "add", "more", "--disabled", "--", "sh"]);
  assert.equal(next.code, 0, next.stderr);
  assert.doesNotMatch(next.stdout, /token/);
  const other = join(await temporaryFolder(t), "home");
  const open = await run(other, ["backends", "add", "files", "--disabled", "--no-token", "--", "sh"]);
  assert.equal(open.code, 0, open.stderr);
  assert.doesNotMatch(await readFile(join(other, "config.toml"), "utf8"), /^\[incoming_auth\]/m);
});
