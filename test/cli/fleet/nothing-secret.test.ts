import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { chmod, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { findServerProgram } from "../../../src/fleet/enrollment/server-process.ts";
import { rawOfSeed } from "../../../src/fleet/keys/nkey.ts";
import { endServer, LACKS_SERVER } from "../../fleet/enrollment/homes.ts";
import { createTestHome, type TestHome } from "../../support/daemon.ts";
import { eventually } from "../../support/eventually.ts";
import { freePort } from "../../support/free-port.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { startCommand } from "../command-line.ts";

const WITHIN_MS = 60_000;
const TOOLS = join(import.meta.dirname, "../../docs/programs/tools-server.mjs");

/** All ways in which a key or a text could stand in a message. */
function spellings(secret: string): readonly string[] {
  const raw = rawOfSeed(secret) ?? (/^[\w-]{43}$/.test(secret) ? Buffer.from(secret, "base64url") : null);
  const bytes = [Buffer.from(secret), ...(raw === null ? [] : [raw])];
  const inner = bytes.flatMap((one) => [
    one.toString("base64"),
    one.toString("base64url"),
    one.toString("hex"),
  ]);
  // The padding depends on what follows.
  return [secret, ...inner.map((text) => text.replace(/.?=+$/, ""))];
}

async function filesUnder(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
}

test("G1 the files of a fleet, and all messages of its life, contain no secret", {
  skip: LACKS_SERVER,
}, async (t) => {
  let folder = "";
  t.after(() => endServer(join(folder, "nas")));
  folder = await temporaryFolder(t);
  const real = await findServerProgram(process.env["PATH"] ?? "");
  // The server writes down every message, with its subject and content.
  await writeFile(join(folder, "nats-server"), `#!/bin/sh\nexec '${real}' -V "$@"\n`);
  await chmod(join(folder, "nats-server"), 0o755);
  const env = { PATH: `${folder}:${process.env["PATH"] ?? ""}` };
  const token = randomBytes(24).toString("hex");
  const tools = `[backends.tools]\ncommand = "${process.execPath}"\nargs = ["${TOOLS}"]\nenv = { TOKEN = "secret:token" }\n`;
  const home = async (name: string, config: string): Promise<TestHome> =>
    createTestHome({
      home: join(folder, name),
      env,
      config: `[server]\nport = ${await freePort()}\n${config}`,
    });
  const [nas, laptop] = [await home("nas", tools), await home("laptop", "")];
  const typed = async (of: TestHome, words: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await of.cli(words);
    assert.equal(code, 0, `${words.join(" ")}: ${stderr}`);
    return stdout;
  };
  const secrets = new Set<string>([token]);
  const note = async (): Promise<void> => {
    for (const which of [nas, laptop]) {
      const text = await readFile(join(which.home, "secrets.json"), "utf8").catch(() => "");
      for (const [, value = ""] of text.matchAll(/"value": ?"([^"]+)"/g)) secrets.add(value);
    }
  };
  const kept = startCommand(["secret", "set", "token"], { home: nas.home, env, input: `${token}\n` });
  assert.equal((await kept.ended).code, 0);
  await using _one = await nas.startMonitor();
  await using _two = await laptop.startMonitor();

  const address = `127.0.0.1:${await freePort()}`;
  const begun = startCommand(["fleet", "init", "--name", "nas", "--listen", address], {
    home: nas.home,
    env,
  });
  t.after(() => begun.child.kill("SIGKILL"));
  const code = await eventually(() => /mf1_[\w-]+/.exec(begun.stdout())?.[0], WITHIN_MS);
  secrets.add(code);
  secrets.add(Buffer.from(code.slice(4), "base64url").subarray(0, 16).toString("hex"));
  await typed(laptop, ["fleet", "join", "--name", "laptop", code]);
  assert.equal((await begun.ended).code, 0);
  await note();
  await Promise.all([
    typed(nas, ["config", "set", "fleet.export", '["tools"]']),
    typed(laptop, ["config", "set", "fleet.import", '["nas"]']),
  ]);
  await eventually(async () => {
    const called = await laptop.cli(["call", "nas_echo", '{"message": "heard-across"}']);
    return called.code === 0 && called.stdout.includes("heard-across");
  }, WITHIN_MS);

  assert.ok(secrets.size >= 5, String(secrets.size));
  const server = join(nas.home, "fleet-server");
  const files = (await filesUnder(server)).filter((file) => !file.endsWith("server-key.pem"));
  const texts = await Promise.all(
    files.map(async (file) => [file, (await readFile(file)).toString("latin1")] as const),
  );
  const log = texts.find(([file]) => file.endsWith("nats-server.log"))?.[1] ?? "";
  // All of it was written down, and none of it set aside.
  assert.equal(files.filter((file) => file.includes("nats-server.log")).length, 1);
  for (const seen of ["heard-across", "mountaineer.join."]) assert.ok(log.includes(seen), seen);
  const members = (name: string): boolean => new RegExp(`${name}\\\\?":`).test(log);
  assert.ok(members("instance") && members("backends"), "offers are in the log");
  for (const name of ["shares_root", "places", "busy"]) assert.ok(!members(name), name);
  for (const secret of secrets) {
    for (const spelling of spellings(secret)) {
      const found = texts.find(([, text]) => text.includes(spelling))?.[0];
      assert.equal(found, undefined, `a secret (${secret.slice(0, 3)}…) stands in ${found}`);
    }
  }
});
