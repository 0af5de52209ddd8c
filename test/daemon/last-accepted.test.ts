// A start that finds mistakes in the file, in a home that accepted a content of it before.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { access, chmod, mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { OWNER_RIGHTS } from "../../src/api/operations/operation.ts";
import { openHistory } from "../../src/config/history/history.ts";
import { openHome } from "../../src/daemon/compose/home.ts";
import { MountaineerError } from "../../src/runtime/errors.ts";
import { sha256Of } from "../../src/runtime/files/sha256.ts";
import { findProgram } from "../../src/runtime/process/find-program.ts";
import { systemClock as clock } from "../../src/runtime/time/clock.ts";
import { runCommand } from "../cli/command-line.ts";
import { assertEach } from "../support/assert-each.ts";
import { ends } from "../support/ends.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { readersInProcess } from "../support/reader-in-process.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { createServiceRig, NEVER, overTb, type RunningService, type ServiceRig } from "./service-rig.ts";

const startReader = readersInProcess();

/** A rig whose file was accepted with one share and has a mistake now. */
async function mistaken(
  t: TestContext,
  sync?: readonly string[],
): Promise<{ rig: ServiceRig; good: string }> {
  const rig = await createServiceRig(t);
  const good = await rig.config(["CORE"], sync === undefined ? {} : { sync });
  await rig.write(good);
  await accept(rig, good, "start");
  await rig.write(good.replace("[global]", "[gobal]"));
  return { rig, good };
}

/** As a service keeps what it accepts. */
function accept(
  rig: ServiceRig,
  text: string,
  source: string,
  format: "toml" | "yaml" = "toml",
): Promise<unknown> {
  const bytes = Buffer.from(text);
  const content = { bytes, sha256: sha256Of(bytes), format, source, summary: "" };
  return openHistory(rig.home, rig.configFile).record({ ...content, time: "2026-11-21T20:00:00.000Z" });
}

for (const [name, sync] of [
  ["by default", undefined],
  ["under stop", ["poll_interval = 0.05", "debounce = 0.05", `on_failure = "stop"`]],
] as const) {
  test(`B4 a start with an invalid file runs and reports the last accepted one, and correcting the file applies it, ${name}`, async (t) => {
    const { rig, good } = await mistaken(t, sync);
    const { service, until, transitions, logger } = await rig.start();
    await until("CORE", overTb);
    const report = service.control.sync();
    assert.deepEqual([report.watching, report.generation, report.sha256], ["live", 1, sha256Of(good)]);
    assert.match(report.last_error?.reason ?? "", /config\.toml:1:2: gobal/);
    assertEach(report.events, ({ type }) => type, ["error"]);
    const condition = service.control
      .status()
      .global.conditions.find(({ code }) => code === "config_rejected");
    assert.match(condition?.title ?? "", /is not in use: .*config\.toml:1:2/);
    assert.match(condition?.hint ?? "", /Correct the file, and it applies/);
    const told = logger.lines.filter(({ message }) => message === "config.rejected");
    assert.deepEqual([told.length, told[0]?.level], [1, "error"]);
    const { entries } = await service.control.history();
    assertEach(
      entries,
      ({ source, sha256 }) => [source, sha256],
      [["start", sha256Of(good)]],
      "nothing is accepted anew",
    );

    await rig.write(await rig.config(["CORE", "MEDIA"], sync === undefined ? {} : { sync }));
    await eventually(() => service.control.sync().last_error === null);
    await until("MEDIA", overTb);
    assert.ok(!service.control.status().global.conditions.some(({ code }) => code === "config_rejected"));
    assert.ok(!transitions.some((each) => each.name === "share.unmounted"), "CORE stayed as it was");
  });
}

test("B6 a rollback, or the accepted bytes again, clears the error of a start", async (t) => {
  const { rig, good } = await mistaken(t);
  const { service } = await rig.start();
  await service.control.rollback({ n: 0 }, NEVER, OWNER_RIGHTS);
  assert.equal(await readFile(rig.configFile, "utf8"), good);
  await eventually(() => service.control.sync().last_error === null);
  assert.equal(service.control.sync().generation, 1);
});

test("B6 commands, homes without a history and other files still fail on invalid files", async (t) => {
  const { rig, good } = await mistaken(t);
  const environment = { ...process.env, HOME: rig.folder };
  const open = (configPath: string | null, fallsBack: boolean) =>
    openHome({
      home: rig.home,
      configPath,
      environment,
      writesStarter: false,
      fallsBack,
      clock,
      startReader,
    });
  const rejection = { code: "config_invalid", message: /config\.toml:1:2: gobal/ };
  await assert.rejects(open(null, false), rejection);
  const fallback = await open(null, true);
  assert.equal(fallback.snapshot.sha256, sha256Of(good));
  assert.equal(fallback.rejected?.sha256, sha256Of(await readFile(rig.configFile)));

  const other = await createServiceRig(t);
  await other.write(good.replace("[global]", "[gobal]"));
  await assert.rejects(open(other.configFile, true), { ...rejection, hint: null });
  await rm(join(rig.home, "history"), { recursive: true });
  await assert.rejects(open(null, true), { ...rejection, hint: null });
});

test("E2 a history that others may write, or that does not load, is not used, and the message gives the reason", async (t) => {
  const { rig, good } = await mistaken(t);
  const open = () =>
    openHome({
      home: rig.home,
      configPath: null,
      environment: { ...process.env, HOME: rig.folder },
      writesStarter: false,
      fallsBack: true,
      clock,
      startReader,
    });
  const folder = join(rig.home, "history");
  const [entry = ""] = await readdir(folder);
  for (const [path, mode] of [
    [join(folder, entry), 0o600],
    [folder, 0o700],
  ] as const) {
    await chmod(path, mode | 0o022);
    await assert.rejects(open(), {
      code: "config_invalid",
      hint: new RegExp(`cannot be used: ${path} can be written by others`),
    });
    await chmod(path, mode);
  }
  await open();
  await accept(rig, good.replace("[global]", "[golbal]"), "test");
  assert.equal((await open()).snapshot.sha256, sha256Of(good));
  await rm(join(folder, entry));
  await assert.rejects(open(), { code: "config_invalid", hint: /this version does not accept it/ });
  await accept(rig, "# of a YAML file\n", "test", "yaml");
  await assert.rejects(open(), { code: "config_invalid", hint: /cannot be used: it is YAML/ });
});

test("B6 a start tries the ten newest contents, and none where the reader itself fails", async (t) => {
  const { rig, good } = await mistaken(t);
  const open = (reader = startReader) =>
    openHome({
      home: rig.home,
      configPath: null,
      environment: { HOME: rig.folder },
      fallsBack: true,
      startReader: reader,
    });
  let isLate = true;
  const lateOnce: typeof startReader = (...given) => {
    if (!isLate) return startReader(...given);
    isLate = false;
    throw new MountaineerError("timed_out", "the reader gives no answer");
  };
  await assert.rejects(open(lateOnce), { code: "timed_out" });
  for (let count = 0; count < 9; count += 1) await accept(rig, `[wrong${count}]\n`, "test");
  assert.equal((await open()).snapshot.sha256, sha256Of(good));
  await accept(rig, "[wrong]\n", "test");
  await assert.rejects(open(), { code: "config_invalid" });
});

test("B6 a start with an unreadable file runs the last accepted one, reports it, and the file applies as soon as it can", async (t) => {
  const { rig, good } = await mistaken(t, ["poll_interval = 0.05", "debounce = 0.05"]);
  await rm(rig.configFile);
  await mkdir(rig.configFile);
  const { service, until } = await rig.start();
  await until("CORE", overTb);
  const report = service.control.sync();
  assert.equal(report.sha256, sha256Of(good));
  assert.match(report.last_error?.reason ?? "", /EISDIR|is a folder, not a file/);
  await rm(rig.configFile, { recursive: true });
  await rig.write(good.replace('name = "CORE"', 'name = "CORE"  # mended'));
  await eventually(() => service.control.sync().last_error === null);
});

test("E2 content that another program put into the history is trusted as little as content put into the file", async (t) => {
  const rig = await createServiceRig(t);
  const marker = (name: string) => join(rig.folder, name);
  const port = await freePort();
  const config = (name: string) =>
    `[server]\nport = ${port}\n[trust]\napprove = "all"\n[backends.files]\ncommand = "touch"\nargs = ["${marker(name)}"]\n`;
  const isThere = (name: string) =>
    access(marker(name)).then(
      () => true,
      () => false,
    );
  await rig.write(config("approved"));
  const first = await rig.start();
  await eventually(() => isThere("approved"));
  await first.stop();
  await rm(marker("approved"));

  await accept(rig, config("smuggled"), "start");
  await rig.write("[[[");
  const { service } = await rig.start();
  const { waiting } = service.control.approvals();
  assertEach(waiting, ({ id }) => id, ["backends.files"]);
  await eventually(() => isThere("approved"));
  assert.equal(await isThere("smuggled"), false, "what was approved runs in its stead");
  await service.control.reload({}, NEVER);
  assert.equal(await isThere("smuggled"), false);
});

// One configuration file in a git checkout, which several machines read through a link: real services, real git.
const gitFile = await findProgram("git", (process.env["PATH"] ?? "").split(":"));
const needsGit = { skip: gitFile === null ? "git is not installed" : false };

async function git(folder: string, ...args: readonly string[]): Promise<void> {
  const who = ["-c", "user.name=ann", "-c", "user.email=ann@example.com", "-c", "pull.rebase=false"];
  await promisify(execFile)("git", ["-C", folder, ...who, ...args]);
}

/** A repository with the text, and a person's clone of it. */
async function repository(t: TestContext, text: string) {
  const folder = await temporaryFolder(t);
  const [origin, desk] = [join(folder, "origin"), join(folder, "desk")];
  await mkdir(origin);
  await git(origin, "init", "--quiet", "--bare", "--initial-branch=main");
  await git(folder, "clone", "--quiet", origin, desk);
  const push = async (next: string): Promise<void> => {
    await writeFile(join(desk, "config.toml"), next, { mode: 0o600 });
    await git(desk, "add", "config.toml");
    await git(desk, "commit", "--quiet", "--message", "change");
    await git(desk, "push", "--quiet", "origin", "HEAD:main");
  };
  await push(text);
  return { origin, push };
}

/** A machine whose configuration file is a link into its own clone. */
async function machine(t: TestContext, origin: string) {
  const rig = await createServiceRig(t);
  const clone = join(rig.folder, "clone");
  await git(rig.folder, "clone", "--quiet", "--branch", "main", origin, clone);
  await symlink(join(clone, "config.toml"), rig.configFile);
  const pull = (): Promise<void> => git(clone, "pull", "--quiet", "origin", "main");
  return { clone, pull, home: rig.home, running: await rig.start() };
}

function backendsOf({ service }: RunningService): readonly string[] {
  return (service.control.status().backends ?? []).map(({ name }) => name);
}

const settings = (port: number): string =>
  `[sync]\npoll_interval = 0.05\ndebounce = 0.05\n[server]\nport = ${port}\n`;
const remote = (name: string): string => `[backends.${name}]\nurl = "http://127.0.0.1:9/${name}"\n`;

test("B5 two machines read one checkout: each applies a commit when it pulls it", needsGit, async (t) => {
  const text = settings(await freePort());
  const { origin, push } = await repository(t, text);
  const [one, other] = [await machine(t, origin), await machine(t, origin)];
  await push(text + remote("common"));
  await one.pull();
  await eventually(() => backendsOf(one.running).join() === "common");
  assert.deepEqual(backendsOf(other.running), [], "the other machine has not pulled it");
  await other.pull();
  await eventually(() => backendsOf(other.running).join() === "common");
});

test('E2 with approve = "all" a pulled commit waits, and what ran keeps running', needsGit, async (t) => {
  const share = (host: string): string => `[[shares]]\nname = "CORE"\nfallback_host = "${host}"\n`;
  const port = await freePort();
  const trust = '[trust]\napprove = "all"\n';
  const { origin, push } = await repository(t, trust + settings(port) + remote("web") + share("127.0.0.1"));
  const { running, pull } = await machine(t, origin);
  const program = `[backends.program]\ncommand = "${process.execPath}"\n`;
  const web = remote("web").replace("/web", "/evil");
  await push(
    `${trust}${settings(port)}public_url = "https://evil.example"\n${web}${share("127.0.0.2")}${program}`,
  );
  await pull();
  const { control } = running.service;
  const waiting = await eventually(() => {
    const ids = control.approvals().waiting.map(({ id }) => id);
    return ids.length > 0 && ids;
  });
  // The keys of `[server]` wait with those of who may sign in.
  assert.deepEqual(waiting.toSorted(), ["backends.program", "backends.web", "incoming_auth", "shares.CORE"]);
  const held = (control.status().backends ?? []).find(({ name }) => name === "program");
  assert.deepEqual([held?.pid ?? null, held?.instances ?? 0], [null, 0]);
  assert.match(control.status().gateway?.url ?? "", new RegExp(`:${port}/`));
});

test(
  "B6 a pull that leaves conflict marks is rejected at their line, and what ran keeps running",
  needsGit,
  async (t) => {
    const text = settings(await freePort());
    const { origin, push } = await repository(t, text + remote("web"));
    const { running, clone, pull } = await machine(t, origin);
    await writeFile(join(clone, "config.toml"), text + remote("mine"));
    await eventually(() => backendsOf(running).join() === "mine");
    await git(clone, "commit", "--quiet", "--all", "--message", "mine");
    await push(text + remote("theirs"));
    await assert.rejects(pull());
    const lines = (await readFile(join(clone, "config.toml"), "utf8")).split("\n");
    const marked = lines.findIndex((line) => line.startsWith("<<<<<<<")) + 1;
    const found = await eventually(() => running.service.control.sync().last_error);
    assert.ok(found.reason.includes(`config.toml:${marked}:`), found.reason);
    assert.deepEqual(backendsOf(running), ["mine"]);
  },
);

test("`config set` reports that it changed a file in a git work tree", needsGit, async (t) => {
  const { origin } = await repository(t, "[global]\ncheck_interval_secs = 2\n");
  const folder = await temporaryFolder(t);
  const [home, clone] = [join(folder, "home"), join(folder, "clone")];
  await git(folder, "clone", "--quiet", "--branch", "main", origin, clone);
  await mkdir(home, { mode: 0o700 });
  await symlink(join(clone, "config.toml"), join(home, "config.toml"));
  const set = () => runCommand(["config", "set", "global.check_interval_secs", "3"], { home });
  await ends(set(), 0, new RegExp(`is 3 \\(it was 2\\), in the git work tree .*${clone}: commit it there\n`));
  assert.doesNotMatch((await set()).stdout, /work tree/, "nothing was changed");
  assert.match(await readFile(join(clone, "config.toml"), "utf8"), /= 3/);
});
