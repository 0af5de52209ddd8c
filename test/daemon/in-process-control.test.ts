import assert from "node:assert/strict";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { openInProcess } from "../../src/daemon/in-process-control.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const NEVER = new AbortController().signal;

test("without a daemon verify and status see a link that is missing or replaced, and change nothing", async (t) => {
  const folder = await temporaryFolder(t);
  const home = join(folder, "home");
  for (const name of ["home", "tb", "fallback"]) await mkdir(join(folder, name));
  const config = [
    "[global]",
    `mount_root = "${join(folder, "volumes")}"`,
    `shares_root = "${join(folder, "Shares")}"`,
    "[[shares]]",
    'name = "CORE"',
    'driver = "local"',
    `thunderbolt_path = "${join(folder, "tb")}"`,
    `fallback_path = "${join(folder, "fallback")}"`,
  ];
  await writeFile(join(home, "config.toml"), config.join("\n"));
  const open = (intent: "look" | "change") =>
    openInProcess({ home, configPath: null, intent, command: "verify", signal: NEVER });
  const link = join(folder, "Shares", "CORE");
  const seen = async (): Promise<readonly (string | undefined)[]> => {
    await using control = await open("look");
    const { ok, findings } = await control.verify(null, NEVER);
    assert.equal(ok, findings.length === 0);
    const told = control.status().shares[0]?.conditions.map(({ code, title }) => `${code} ${title}`);
    assert.deepEqual(
      findings.map(({ code, text }) => `${code} ${text}`),
      told,
    );
    return findings.map(({ text }) => text);
  };
  {
    await using control = await open("change");
    assert.equal((await control.mount(null, NEVER))[0]?.result, "mounted");
  }
  assert.deepEqual(await seen(), []);
  await rm(link);
  assert.deepEqual(await seen(), [`The link to the mount is not right: ${link} is missing`]);
  assert.deepEqual(await readdir(join(folder, "Shares")), []);
  await writeFile(link, "mine");
  assert.deepEqual(await seen(), [`The link to the mount is not right: ${link} is a file`]);
  assert.equal(await readFile(link, "utf8"), "mine");
  await rm(link);
  await using control = await open("change");
  assert.equal((await control.reconcile(null, NEVER))[0]?.result, "skipped");
  assert.deepEqual(await seen(), []);
});

test("C3 without a daemon a gateway is told as configured, as not looked at, and never started", async (t) => {
  const home = await temporaryFolder(t);
  const write = (text: string): Promise<void> => writeFile(join(home, "config.toml"), text);
  const look = () =>
    openInProcess({ home, configPath: null, intent: "look", command: "verify", signal: NEVER });
  await write('[backends.files]\ncommand = "there-is-no-such-server"\n');
  {
    await using control = await look();
    const { gateway, backends } = control.status();
    assert.equal(gateway?.url, null);
    assert.deepEqual(
      backends?.map(({ name, phase }) => [name, phase]),
      [["files", "Pending"]],
    );
    const { ok, findings } = await control.verify(null, NEVER);
    assert.deepEqual([ok, findings.map(({ code }) => code)], [true, ["gateway_not_running"]]);
  }
  await write('[backends.web]\nurl = "http://127.0.0.1:9/"\nheaders = { A = "${MOUNTAINEER_UNSET}" }\n');
  {
    await using control = await look();
    assert.deepEqual(
      control.status().backends?.[0]?.conditions.map(({ code, title }) => [code, title]),
      [["secret_missing", "backend web cannot start: not set in the environment: MOUNTAINEER_UNSET"]],
    );
  }
  await write("");
  await using control = await look();
  assert.deepEqual([control.status().gateway, control.status().backends], [undefined, undefined]);
  assert.deepEqual((await control.verify(null, NEVER)).findings, []);
});
