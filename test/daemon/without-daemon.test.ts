import assert from "node:assert/strict";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import type { WithoutDaemonOptions } from "../../src/api/in-process.ts";
import { findHomeContext } from "../../src/config/home-context.ts";
import { startApprovals } from "../../src/daemon/approvals/start-approvals.ts";
import { openBackendSignIn } from "../../src/daemon/backend-sign-in.ts";
import { openHome } from "../../src/daemon/compose/home.ts";
import { openWithoutDaemon } from "../../src/daemon/without-daemon.ts";
import { startPlainRig } from "../../src/demo/stage/plain-rig.ts";
import { missingForSmb } from "../../src/demo/stage/smb-available.ts";
import { noopLogger as logger } from "../../src/runtime/log/log.ts";
import { systemClock as clock } from "../../src/runtime/time/clock.ts";
import { LIGHT_SERVER } from "../mcp/fixture-programs.ts";
import { assertEach } from "../support/assert-each.ts";
import { eventually } from "../support/eventually.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const NEVER = new AbortController().signal;

const open = (home: string, intent: WithoutDaemonOptions["intent"] = "look", command = "verify") =>
  openWithoutDaemon({ home, configPath: null, intent, command, signal: NEVER });

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
  const link = join(folder, "Shares", "CORE");
  const seen = async (): Promise<readonly (string | undefined)[]> => {
    await using engine = await open(home, "look");
    const { call } = engine;
    const { ok, findings } = await call("verify", {}, NEVER);
    assert.equal(ok, findings.length === 0);
    const told = (await call("status", null, NEVER)).shares[0]?.conditions.map(
      ({ code, title }) => `${code} ${title}`,
    );
    assertEach(findings, ({ code, text }) => `${code} ${text}`, told);
    return findings.map(({ text }) => text);
  };
  {
    await using engine = await open(home, "change");
    const { call } = engine;
    assert.equal((await call("mount", {}, NEVER)).results[0]?.result, "mounted");
  }
  assert.deepEqual(await seen(), []);
  await rm(link);
  assert.deepEqual(await seen(), [`The stable link does not point to the mount: ${link} is missing`]);
  assert.deepEqual(await readdir(join(folder, "Shares")), []);
  await writeFile(link, "mine");
  assert.deepEqual(await seen(), [`The stable link does not point to the mount: ${link} is a file`]);
  assert.equal(await readFile(link, "utf8"), "mine");
  await rm(link);
  await using engine = await open(home, "change");
  const { call } = engine;
  assert.equal((await call("reconcile", {}, NEVER)).results[0]?.result, "skipped");
  assert.deepEqual(await seen(), []);
});

/** A home whose one share has two routes to a real server. */
async function smbHome(t: TestContext): Promise<{ readonly home: string; readonly folder: string }> {
  const rig = await startPlainRig({ shares: ["LOOK"] });
  t.after(() => rig[Symbol.asyncDispose]());
  await writeFile(join(rig.exportPath("LOOK"), "file.txt"), "there");
  process.env["LOOK_PASSWORD"] = rig.password;
  t.after(() => delete process.env["LOOK_PASSWORD"]);
  const folder = await temporaryFolder(t);
  const home = join(folder, "home");
  await mkdir(home);
  const config = [
    "[global]",
    `mount_root = "${join(folder, "volumes")}"`,
    `shares_root = "${join(folder, "Shares")}"`,
    "connect_timeout_ms = 30000",
    "[[shares]]",
    'name = "LOOK"',
    `thunderbolt_host = "${rig.tbHost}:${rig.tbPort}"`,
    `fallback_host = "${rig.fallbackHost}:${rig.fallbackPort}"`,
    `username = "${rig.username}"`,
    'password = "${LOOK_PASSWORD}"',
  ];
  await writeFile(join(home, "config.toml"), config.join("\n"));
  return { home, folder };
}

describe("on a real server", { skip: (await missingForSmb("/nowhere")) ?? false }, () => {
  test("F3 verify logs in only on request, and reports a refused login", async (t) => {
    const { home } = await smbHome(t);
    const codes = async (login: boolean): Promise<readonly string[]> => {
      await using engine = await open(home, "look");
      const { findings } = await engine.call("verify", { login }, NEVER);
      return findings.map(({ code }) => code);
    };
    assert.deepEqual(await codes(true), ["not_mounted"]);
    process.env["LOOK_PASSWORD"] = "wrong";
    assert.deepEqual(await codes(false), ["not_mounted"]);
    assert.deepEqual(await codes(true), ["not_mounted", "login_refused"]);
  });

  test("A10 a status without a daemon logs in nowhere, and writes nothing", async (t) => {
    const { home } = await smbHome(t);
    await using engine = await open(home, "look", "status");
    const [share] = (await engine.call("status", null, NEVER)).shares;
    assert.deepEqual([share?.tb_reachable, share?.fb_reachable], [true, true]);
    assert.deepEqual(await readdir(home), ["config.toml"]);
  });
});

test("C3 without a daemon a gateway is reported as configured, as not checked, and never started", async (t) => {
  const home = await temporaryFolder(t);
  const write = (text: string): Promise<void> => writeFile(join(home, "config.toml"), text);
  await write('[backends.files]\ncommand = "there-is-no-such-server"\n');
  {
    await using engine = await open(home, "look");
    const { call } = engine;
    const { gateway, backends } = await call("status", null, NEVER);
    assert.equal(gateway?.url, null);
    assert.deepEqual(
      backends?.map(({ name, phase }) => [name, phase]),
      [["files", "Pending"]],
    );
    const { ok, findings } = await call("verify", {}, NEVER);
    assert.deepEqual([ok, findings.map(({ code }) => code)], [true, ["gateway_not_running"]]);
  }
  await write('[backends.web]\nurl = "http://127.0.0.1:9/"\nheaders = { A = "${MOUNTAINEER_UNSET}" }\n');
  {
    await using engine = await open(home, "look");
    const { call } = engine;
    assertEach(
      (await call("status", null, NEVER)).backends?.[0]?.conditions,
      ({ code, title }) => [code, title],
      [["secret_missing", "server web cannot start: not set in the environment: MOUNTAINEER_UNSET"]],
    );
  }
  await write("");
  await using engine = await open(home, "look");
  const { call } = engine;
  assert.deepEqual(
    [(await call("status", null, NEVER)).gateway, (await call("status", null, NEVER)).backends],
    [undefined, undefined],
  );
  assert.deepEqual((await call("verify", {}, NEVER)).findings, []);
});

// Approvals while no daemon runs.
const signal = new AbortController().signal;

const nobody = {
  visit: () => assert.fail("a browser was opened"),
  paste: () => Promise.reject(new Error("nobody is there")),
};

test("E2 no one signs in at an address that waits for approval, and no secret is sent there", async (t) => {
  const home = await temporaryFolder(t);
  const path = join(home, "config.toml");
  const text = (host: string): string =>
    `[trust]\napprove = "all"\n[backends.web]\nurl = "http://127.0.0.1:9/${host}"\n`;
  const environment = process.env;
  await writeFile(path, text("one"), { mode: 0o600 });
  const { snapshot } = await openHome({ home, configPath: null, environment, writesStarter: false, clock });
  const homeContext = findHomeContext({ ...environment, MOUNTAINEER_HOME: home });
  const parts = { homeContext, environment, snapshot, clock, logger, publish: () => {}, writes: true };
  const { approvalStore } = await startApprovals(parts, signal);
  await approvalStore[Symbol.asyncDispose]();
  const login = () =>
    openBackendSignIn({ home, configPath: null }).login(
      { backend: "web", user: null, method: "browser", moreScopes: [] },
      nobody,
      signal,
    );
  await assert.rejects(login, /cannot reach http:\/\/127\.0\.0\.1:9/);
  await writeFile(path, text("evil"), { mode: 0o600 });
  await assert.rejects(login, { code: "sign_in_failed", message: "server web waits for approval" });
});

test("C3 a call without a daemon is refused while a share that its backend requires is unavailable, and succeeds once it is mounted", async (t) => {
  const folder = await temporaryFolder(t);
  const home = join(folder, "home");
  for (const name of ["home", "tb", "fallback", "tb/data"]) await mkdir(join(folder, name), { mode: 0o700 });
  await writeFile(
    join(home, "config.toml"),
    `[global]
mount_root = "${join(folder, "volumes")}"
shares_root = "${join(folder, "Shares")}"
[[shares]]
name = "CORE"
driver = "local"
thunderbolt_path = "${join(folder, "tb")}"
fallback_path = "${join(folder, "fallback")}"
[backends.a]
command = ${JSON.stringify(process.execPath)}
args = [${JSON.stringify(LIGHT_SERVER)}]
cwd = "/"
requires = ["CORE:/data"]
unavailable_after_secs = 3600
`,
    { mode: 0o600 },
  );
  const call = async () => {
    await using alone = await open(home);
    return await alone.call("call", { tool: "echo", arguments: { text: "here" } }, signal);
  };
  await assert.rejects(call, { code: "tool_unknown" });
  {
    await using alone = await open(home);
    assert.deepEqual((await alone.call("tools", null, signal)).tools, []);
    const [a] = (await alone.call("status", null, signal)).backends ?? [];
    assertEach(a?.conditions, ({ code }) => code, ["share_away"]);
  }
  {
    await using alone = await open(home, "change", "mount");
    assert.equal((await alone.call("mount", {}, signal)).results[0]?.result, "mounted");
  }
  // A look that is late on a busy machine counts as a share that is away.
  await eventually(async () => /here/.test(JSON.stringify(await call().catch(String))));
});

test("C3 no gateway starts within its own backend", async (t) => {
  const home = await temporaryFolder(t);
  await writeFile(join(home, "config.toml"), '[backends.a]\ncommand = "true"\n', { mode: 0o600 });
  process.env["MOUNTAINEER_WITHIN"] = JSON.stringify([join(home, "config.toml")]);
  t.after(() => delete process.env["MOUNTAINEER_WITHIN"]);
  await using alone = await open(home);
  await assert.rejects(alone.gateway(), { code: "gateway_off", message: /would start itself again/ });
});
