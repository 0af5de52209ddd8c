// `--url`: the commands ask the daemon of another machine, and never the one of this home.
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { createTestHome } from "../../support/daemon.ts";
import { ends } from "../../support/ends.ts";
import { eventually } from "../../support/eventually.ts";
import { freePort } from "../../support/free-port.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { runCommand, startCommand } from "../command-line.ts";

test("F2 with --url status, config, call, tools, logs and the audit are those of the other machine", async (t) => {
  const port = await freePort();
  const server = join(import.meta.dirname, "../programs/mcp-server.ts");
  const config = `[server]\nport = ${port}\n[audit]\n[backends.demo]\ncommand = "${process.execPath}"\nargs = ["${server}"]\n`;
  const far = await createTestHome({ home: await temporaryFolder(t), config, kept: true });
  const monitor = await far.startMonitor();
  t.after(() => monitor[Symbol.asyncDispose]());
  const token = (await far.cli(["server-token"])).stdout;

  const home = await temporaryFolder(t);
  const file = join(home, "token");
  await writeFile(file, token, { mode: 0o600 });
  const place = ["--url", `http://127.0.0.1:${port}`, "--token-file", file];
  const ask = async (...words: readonly string[]) => {
    const ran = await runCommand([...words, ...place], { home });
    assert.equal(ran.code, 0, `${words.join(" ")}: ${ran.stderr}`);
    assert.ok(!`${ran.stdout}${ran.stderr}`.includes(token.trim()));
    return ran.stdout;
  };
  await eventually(async () => (await ask("status")).includes("Ready"));
  const inVariable = await runCommand(["status", "--url", `http://127.0.0.1:${port}`], {
    home,
    env: { MOUNTAINEER_MANAGEMENT_TOKEN: token.trim() },
  });
  assert.equal(inVariable.code, 0, inVariable.stderr);
  assert.equal((await ask("config", "path")).trim(), far.configFile);
  assert.match(await ask("config", "show"), /\[backends\.demo\]/);
  assert.match(
    await ask("config", "set", "global.check_interval_secs", "3"),
    /check_interval_secs is 3 \(it was 2 by default\)/,
  );
  assert.match(await readFile(far.configFile, "utf8"), /check_interval_secs = 3/);
  assert.match(await ask("config", "diff"), /\+check_interval_secs = 3/);
  await ask("config", "rollback");
  assert.doesNotMatch(await readFile(far.configFile, "utf8"), /check_interval_secs/);
  assert.match(await ask("approve", "--list"), /nothing waits/);
  const { tools } = JSON.parse(await ask("tools", "list", "--json"));
  const [{ name }] = tools;
  await ask("tools", "disable", name);
  assert.equal(JSON.parse(await ask("tools", "list", "--json")).off[0].name, name);
  const enabling = await runCommand(["tools", "enable", name, ...place], { home });
  assert.notEqual(enabling.code, 0, "a visitor may switch off, and not on");
  assert.match(enabling.stderr, /only the owner may do this over HTTP here/);
  assert.match(await ask("logs", "--lines", "1000"), /The gateway listens/);
  assert.match(await ask("logs", "--audit", "--json"), /"kind":|^$/);
  assert.doesNotMatch(await ask("logs", "--audit", "--outcome", "denied", "--json"), /"outcome":"ok"/);

  const following = startCommand(["status", "--follow", ...place], { home });
  t.after(() => following.child.kill());
  let said = "";
  following.child.stdout?.on("data", (text: string) => {
    said += text;
  });
  await eventually(() => said.includes("server demo: Ready"));

  assert.match(await ask("backends", "disable", "demo"), /demo {2}is disabled/);
  assert.match(await readFile(far.configFile, "utf8"), /enabled = false/);
  const share = ["shares", "add", "--share", "FAR", "--tb-path", "/a", "--fallback-path", "/b"];
  const adding = await runCommand([...share, ...place], { home });
  assert.match(adding.stderr, /nothing was written[\s\S]*allow_commands/);
  assert.match(await ask("alias", "list", "--json"), /"aliases":\s*\[\]/);
  const unknown = await runCommand(["shares", "remove", "--share", "FAR", ...place], { home });
  assert.match(unknown.stderr, /no share is configured yet/);

  const wrong = join(home, "wrong");
  await writeFile(wrong, "not-the-token", { mode: 0o600 });
  const refused = await runCommand([...["status", ...place.slice(0, 2)], "--token-file", wrong], { home });
  assert.notEqual(refused.code, 0);
  assert.ok(!refused.stderr.includes("not-the-token"));
  const closed = `http://127.0.0.1:${await freePort()}`;
  const away = await runCommand(["status", "--url", closed, "--token-file", file], { home });
  assert.equal(away.code, 8);
  assert.match(
    away.stderr,
    /127\.0\.0\.1:\d+: the connection to the daemon was lost[\s\S]*there: mountaineer status/,
  );
  for (const url of ["http://192.0.2.1", "ftp://127.0.0.1", "https://host/path"]) {
    const bad = await runCommand(["status", "--url", url, "--token-file", file], { home });
    assert.equal(bad.code, 2, url);
  }
  const both = await runCommand(["--config", "/x.toml", "status", ...place], { home });
  assert.match(both.stderr, /--config is for this machine/);
});

test("F2 E1 with --url a secret is stored and forgotten there, where that machine allows it, and never here", async (t) => {
  const port = await freePort();
  const config = `[server]\nport = ${port}\n[server.management]\nallow_commands = true\n`;
  const far = await createTestHome({ home: await temporaryFolder(t), config, kept: true });
  const monitor = await far.startMonitor();
  t.after(() => monitor[Symbol.asyncDispose]());
  const home = await temporaryFolder(t);
  const env = { MOUNTAINEER_MANAGEMENT_TOKEN: (await far.cli(["server-token"])).stdout.trim() };
  const ask = (input: string, ...words: readonly string[]) =>
    runCommand(["secret", ...words, "--url", `http://127.0.0.1:${port}`], { home, env, input });
  await ends(ask("hunter2\n", "set", "nas"), 0, /nas is stored there: /);
  assert.match((await far.cli(["secret", "list"])).stdout, /nas/);
  assert.doesNotMatch((await runCommand(["secret", "list"], { home })).stdout, /nas/);
  assert.equal((await ask("", "set", "nas", "--in", "file")).code, 2);
  await ends(ask("", "remove", "nas"), 0, /nas is removed there/);
  assert.doesNotMatch((await far.cli(["secret", "list"])).stdout, /nas/);
  await far.cli(["config", "set", "server.management.allow_commands", "false"]);
  const refused = await ask("hunter2\n", "set", "nas");
  assert.notEqual(refused.code, 0);
  assert.doesNotMatch((await far.cli(["secret", "list"])).stdout, /nas/);
});
