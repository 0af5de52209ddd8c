import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { mkdir, open, readFile, readlink, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { Server } from "node:net";
import { delimiter, dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { promisify } from "node:util";
import type { ShareStatus } from "../../src/api/contract/contract.ts";
import { Access, LINK_LIFE_MS, SESSION_LIFE_MS } from "../../src/api/http/access.ts";
import { OWNER_RIGHTS } from "../../src/api/operations/operation.ts";
import { openHome } from "../../src/daemon/compose/home.ts";
import { startSentinelService } from "../../src/daemon/daemon-service.ts";
import { limitHeapAfterStart } from "../../src/daemon/heap-settings.ts";
import { PageListener } from "../../src/daemon/page-listener.ts";
import { startPlainRig } from "../../src/demo/stage/plain-rig.ts";
import { missingForSmb } from "../../src/demo/stage/smb-available.ts";
import { openStateStore } from "../../src/reconcile/state-file.ts";
import { noopLogger } from "../../src/runtime/log/log.ts";
import { findProgram } from "../../src/runtime/process/find-program.ts";
import { systemClock as clock } from "../../src/runtime/time/clock.ts";
import { fsFilesIn } from "../../src/shares/drivers/fs/mount-arguments.ts";
import { assertEach } from "../support/assert-each.ts";
import { eventually } from "../support/eventually.ts";
import { createManualClock } from "../support/manual-clock.ts";
import type { RecordingLogger } from "../support/recording-logger.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { LINUX_ALONE } from "../support/where.ts";
import { createServiceRig, NEVER, overTb } from "./service-rig.ts";

/** A service whose shares are mounted. */
async function serving(t: TestContext, names: readonly string[] = ["CORE"]) {
  const rig = await createServiceRig(t);
  const text = await rig.config(names);
  await rig.write(text);
  const running = await rig.start();
  await Promise.all(names.map((name) => running.until(name, overTb)));
  const { control } = running.service;
  const at = (...path: readonly string[]): Promise<string> => readlink(join(rig.folder, ...path));
  return {
    ...running,
    rig,
    text,
    control,
    /** Where a link below the rig's folder leads. */
    at,
    folder: (name: string) => join(rig.folder, name),
    global: (code: string) => control.status().global.conditions.find((each) => each.code === code),
    replace: (next: string) =>
      control.editText(
        { text: next, expected_sha256: control.sync().sha256, source: "test" },
        NEVER,
        OWNER_RIGHTS,
      ),
  };
}

test("A1 a service that starts mounts the configured shares and reports that it runs; a stop leaves mounts as they are, and with unmountOnExit none is left", async (t) => {
  const { rig, logger, control, at, folder, state, stop } = await serving(t, ["CORE", "MEDIA"]);
  assert.ok(logger.lines.some(({ message }) => message === "running"));
  assert.equal(await at("Shares", "CORE"), folder("volumes/CORE"));
  assert.equal(await at("volumes", "CORE"), folder("CORE-tb"));
  await eventually(async () => (await state()).shares["CORE"]?.["active_interface"] === "tb");
  const { global } = control.status();
  assert.deepEqual([global.pid, global.check_interval_secs], [process.pid, 0.2]);
  assertEach((await control.history()).entries, ({ n, source, summary }) => ({ n, source, summary }), [
    { n: 0, source: "start", summary: "started" },
  ]);
  await stop();
  assert.equal(await at("volumes", "CORE"), folder("CORE-tb"));

  const second = await rig.start({ unmountOnExit: true });
  await second.until("CORE", overTb);
  await second.stop();
  await assert.rejects(at("volumes", "CORE"), { code: "ENOENT" });
  const { CORE } = (await second.state()).shares;
  assert.deepEqual([CORE?.["held"], CORE?.["active_interface"]], [null, "none"], "and nothing is held");
});

test("an edit during the unmounts at exit mounts nothing again", async (t) => {
  const rig = await createServiceRig(t);
  await rig.write(await rig.config(["CORE"]));
  const { until, stop, logger } = await rig.start({ unmountOnExit: true });
  await until("CORE", overTb);
  // It is told at the end of the cycle that mounted it.
  await eventually(() => logger.lines.some(({ message }) => message === "share.mounted"));
  const from = logger.lines.length;
  await rig.write(await rig.config(["CORE"], { global: ["auto_failback = true"] }));
  await stop();
  // A check for open files that is late on a busy machine leaves it mounted, and says so.
  const told = logger.lines.slice(from).map(({ message }) => message);
  assert.ok(told.includes("share.unmounted") || told.includes("left mounted at exit"), told.join());
  assert.ok(!told.includes("share.mount_attempt"), told.join());
});

test("A6 one service, whose shares are edited one way after the other", async (t) => {
  const it = t.test.bind(t);
  const { rig, service, control, at, folder, until, share, state, stop, ...s } = await serving(t);
  const both = await rig.config(["CORE", "MEDIA"]);

  await it("A6 an added share is mounted, and the others keep their mount and state", async () => {
    const before = share("CORE");
    await rig.write(await rig.config(["MEDIA", "CORE"]));
    await until("MEDIA", overTb);
    const after = share("CORE");
    assert.equal(after.last_switch_at, before.last_switch_at);
    assert.equal(after.tb_reachable_since, before.tb_reachable_since);
    assert.equal(after.tb_healthy_since, before.tb_healthy_since);
    assert.deepEqual(
      s.transitions.flatMap((each) => (each.name === "config.applied" ? [each.summary] : [])),
      ["1 share reloaded"],
    );
    assert.ok(!s.transitions.some((each) => each.name === "share.unmounted"), "nothing was unmounted");
    assertEach(control.status().shares, ({ name }) => name, ["MEDIA", "CORE"], "in the file's order");
  });

  await it("A6 removing and adding a share repeatedly leaves one loop for it and its newest state", async () => {
    const from = s.transitions.length;
    for (const text of [s.text, both, s.text, both, s.text, both]) await s.replace(text);
    await until("MEDIA", overTb);
    await eventually(async () => (await state()).shares["MEDIA"]?.["active_interface"] === "tb");
    const mounted = s.transitions
      .slice(from)
      .filter(
        (each) => /^share\.mount(ed|_attempt)$/.test(each.name) && "share" in each && each.share === "MEDIA",
      );
    assert.ok(mounted.length <= 2, JSON.stringify(mounted));
  });

  await it("A6 a route's other folder is mounted once nothing is open on the old one, and not earlier", async () => {
    const untouched = share("MEDIA");
    await writeFile(folder("CORE-tb/file"), "text");
    const holder = spawn("sleep", ["600"], { cwd: folder("CORE-tb"), stdio: "ignore" });
    t.after(() => void holder.kill("SIGKILL"));
    await rig.write(
      await rig.config([{ name: "CORE", tb: "other-tb", fallback: "other-fallback" }, "MEDIA"]),
    );
    const condition = await eventually(() =>
      share("CORE").conditions.find(({ code }) => code === "waiting_for_close"),
    );
    assert.deepEqual(
      condition.holders?.map(({ pid }) => pid),
      [holder.pid],
    );
    assert.equal(await at("volumes", "CORE"), folder("CORE-tb"));
    holder.kill("SIGKILL");
    await until("CORE", (each) => overTb(each) && each.conditions.length === 0);
    assert.equal(await at("volumes", "CORE"), folder("other-tb"));
    const after = share("MEDIA");
    assert.deepEqual(
      [after.last_switch_at, after.tb_healthy_since],
      [untouched.last_switch_at, untouched.tb_healthy_since],
    );
  });

  await it("A6 a share that is removed in the file stays mounted, is logged and named, and can be unmounted", async () => {
    const from = s.logger.lines.length;
    await rig.write(s.text);
    await eventually(() => control.status().shares.length === 1);
    assert.equal(await at("volumes", "MEDIA"), folder("MEDIA-tb"));
    assert.equal(await at("Shares", "MEDIA"), folder("volumes/MEDIA"));
    const lines = s.logger.lines.slice(from).filter(({ message }) => message === "share.unmanaged");
    assertEach(lines, ({ fields }) => fields, [{ share: "MEDIA", left_mounted_over: "tb" }]);
    const isNamed = () =>
      control.status().global.conditions.find(({ code }) => code === "left_mounted:MEDIA");
    const told = await eventually(() => isNamed() ?? null);
    assert.equal(told.title, `MEDIA is no longer configured; still mounted at ${folder("volumes/MEDIA")}`);
    assert.equal(told.hint, "mountaineer unmount --share MEDIA");
    const { signal } = new AbortController();
    await assert.rejects(async () => control.mount({ shares: ["MEDIA"] }, signal), {
      code: "share_unknown",
    });
    const { results } = await control.unmount({ shares: ["MEDIA"] }, signal);
    assertEach(results, ({ share, result }) => [share, result], [["MEDIA", "unmounted"]]);
    for (const gone of ["volumes", "Shares"])
      await assert.rejects(Promise.resolve(at(gone, "MEDIA")), { code: "ENOENT" });
    assert.equal(isNamed(), undefined);
    assert.ok(!("MEDIA" in (await state()).shares));
    await assert.rejects(control.unmount({ shares: ["MEDIA"] }, signal), { code: "share_unknown" });
  });

  await it("A6 another mount_root and shares_root move mounts and links when nothing is open", async () => {
    const moved = folder("elsewhere/CORE");
    await rig.write(await rig.config(["CORE"], { mountRoot: "elsewhere", sharesRoot: "Other" }));
    await until("CORE", (each) => overTb(each) && each.mount_path === moved);
    assert.equal(await at("elsewhere", "CORE"), folder("CORE-tb"));
    await eventually(async () => (await at("Other", "CORE")) === moved);
  });

  await it("A6 the interval and the toggles apply at once, and the flag of the command line overrides the file", async () => {
    const interval = (): number => control.status().global.check_interval_secs;
    await rig.write(await rig.config(["CORE"], { global: ["check_interval_secs = 3600"] }));
    await eventually(() => interval() === 3600);
    const short = ["check_interval_secs = 0.1", "auto_failback = true", "lsof_recheck = false"];
    await rig.write(await rig.config(["CORE"], { global: short }));
    await eventually(() => interval() === 0.1);
    const { auto_failback, lsof_recheck } = control.status().global;
    assert.deepEqual({ auto_failback, lsof_recheck }, { auto_failback: true, lsof_recheck: false });
    const from = s.logger.lines.length;
    const ticks = () =>
      s.logger.lines
        .slice(from)
        .filter(({ message, fields }) => message === "cycle" && String(fields["trigger"]) === "tick");
    await eventually(() => ticks().length >= 5);
    await stop();

    const flagged = await rig.start({ intervalMs: 250 });
    const flaggedInterval = () => flagged.service.control.status().global.check_interval_secs;
    assert.equal(flaggedInterval(), 0.25);
    await rig.write(await rig.config(["CORE"], { global: ["check_interval_secs = 5"] }));
    await eventually(() => flagged.service.control.sync().generation === 2);
    assert.equal(flaggedInterval(), 0.25);
  });
});

test("B4 B6 one service, whose file is broken in one way after the other", async (t) => {
  const it = t.test.bind(t);
  const { rig, service, control, global, text, logger } = await serving(t);
  /** Another meaning. */
  const every = (secs: number, of = text): string => of.replace(/(check_interval_secs =) .*/, `$1 ${secs}`);
  const { configFile } = rig;

  await it("B6 a broken file changes nothing, is reported once with its position, and correcting it applies", async () => {
    await rig.write(text.replace("check_interval_secs", "check_intervall_secs"));
    const condition = await eventually(() => global("config_rejected"));
    assert.match(condition.title, /config\.toml:4:1: .*check_intervall_secs/);
    assert.match(condition.title, /did you mean/);
    assert.equal(condition.severity, "error");
    assert.equal(condition.since, control.sync().last_error?.since);
    assert.deepEqual([control.sync().generation, control.sync().events.at(-1)?.type], [1, "error"]);
    assertRejectedAlone(logger);
    const wrong = await control.verify({}, NEVER);
    assert.equal(wrong.ok, false);
    assert.ok(wrong.findings.some(({ share, code }) => share === null && code === "config_rejected"));
    assert.equal((await control.verify({ shares: ["CORE"] }, NEVER)).ok, true);

    await rig.write(every(0.3));
    await eventually(() => control.sync().last_error === null);
    assert.equal(control.sync().generation, 2);
    assert.ok(!control.status().global.conditions.some(({ code }) => code.startsWith("config_")));
  });

  await it("B3 a deleted file changes nothing, is reported, is not re-created, and applies when it returns", async () => {
    await rm(configFile);
    const condition = await eventually(() => global("config_missing"));
    assert.match(condition.hint ?? "", /rollback 0/);
    const report = await service.reload(NEVER);
    assert.match(report.failure ?? "", /is not there/);
    assert.equal(report.reloaded, false);
    await assert.rejects(open(configFile), { code: "ENOENT" });
    await rig.write(every(0.4));
    await eventually(() => control.sync().generation === 3);
    assert.equal(global("config_missing"), undefined);
  });

  await it("B4 a second configuration file is reported for as long as it is there", async () => {
    const other = join(dirname(configFile), "config.yaml");
    await writeFile(other, "shares: []\n");
    assert.match(
      (await eventually(() => global(`config_second:${other}`))).title,
      /config\.yaml is next to .*config\.toml/,
    );
    await rm(other);
    await eventually(() => global(`config_second:${other}`) === undefined);
  });

  await it("a rollback rewrites a deleted file with the running configuration", async () => {
    const before = (await control.history()).entries.length;
    await rm(configFile);
    const report = await control.rollback({ n: 0 }, NEVER, OWNER_RIGHTS);
    assert.deepEqual([report.changed, report.reload?.reloaded], [true, false]);
    assert.equal(await readFile(configFile, "utf8"), every(0.4));
    assert.equal((await control.history()).entries.length, before);
  });

  await it("B4 a folder in the file's place is reported as unreadable, retried, and cleared when the file returns", async () => {
    const errors = () => control.sync().events.filter(({ type }) => type === "error").length;
    const before = errors();
    await rename(configFile, `${configFile}.away`);
    await mkdir(configFile);
    const condition = await eventually(() => global("config_unreadable"));
    assert.match(condition.title, /EISDIR|not a file/);
    assert.equal(errors(), before + 1);
    await rm(configFile, { recursive: true });
    await rename(`${configFile}.away`, configFile);
    await eventually(() => control.sync().last_error === null);
    assert.equal(control.sync().generation, 3);
  });

  await it("B10 with `enabled = false` nothing is watched; reloads and edits apply all the same, and can switch it on", async () => {
    const off = text.replace("[sync]", "[sync]\nenabled = false");
    await rig.write(off);
    await eventually(() => control.sync().watching === "off");
    await rig.write(every(0.5, off));
    assert.equal((await service.reload(NEVER)).reloaded, true);
    const { generation } = control.sync();
    const edits = [{ key: "sync.enabled", value: "true" }];
    const edited = await control.edit({ edits, source: "test" }, NEVER, OWNER_RIGHTS);
    assert.deepEqual(edited.reload?.settings, ["sync.enabled"]);
    assert.equal(control.sync().watching, "live");
    await rig.write(every(0.6, await readFile(configFile, "utf8")));
    await eventually(() => control.sync().generation === generation + 2);
  });

  await it("B4 under `stop` watching ends, every UI says so, and a manual reload applies the correction and watches again", async () => {
    const stop = text.replace("[sync]", '[sync]\non_failure = "stop"');
    const { generation } = control.sync();
    await rig.write(stop);
    await eventually(() => control.sync().generation === generation + 1);
    const from = logger.lines.length;
    await rig.write(`${stop}[`);
    await eventually(() => control.sync().watching === "stopped");
    assert.ok(global("sync_stopped") && global("config_rejected"));
    assertRejectedAlone(logger, from);
    await rig.write(every(0.7, stop));
    const report = await service.reload(NEVER);
    assert.deepEqual([report.reloaded, report.settings], [true, ["global.check_interval_secs"]]);
    assert.equal(control.sync().watching, "live");
    await rig.write(every(0.8, stop));
    await eventually(() => control.sync().generation === generation + 3);
  });
});

test("the beat maintains the logs of programs that mount, also of an unconfigured share", async (t) => {
  const rig = await createServiceRig(t);
  await rig.write(await rig.config(["CORE"]));
  const { log } = fsFilesIn(join(rig.home, "mounts/REMOVED"));
  await mkdir(dirname(log), { recursive: true });
  await writeFile(log, "2026/11/20 08:00:00 no answer over tb\n".repeat(60_000));
  await rig.start();
  await eventually(async () => (await stat(log)).size < 1024 * 1024);
});

test("A6 a share that is removed and added again starts over: its override is gone", async (t) => {
  const { rig, text, control, stop } = await serving(t, ["CORE", "MEDIA"]);
  await control.unmount({ shares: ["MEDIA"] }, NEVER);
  await stop();

  const { service, until, share } = await rig.start();
  await until("CORE", overTb);
  assert.equal(share("MEDIA").override, "unmounted", "what is held survives a restart");
  for (const next of [await rig.config(["CORE"]), text]) {
    const { sha256 } = service.control.sync();
    await service.control.editText(
      { text: next, expected_sha256: sha256, source: "test" },
      NEVER,
      OWNER_RIGHTS,
    );
  }
  await until("MEDIA", overTb);
  assert.equal(share("MEDIA").override, null);
});

test("a start that fails half way leaves none of its processes behind", { skip: LINUX_ALONE }, async (t) => {
  const rig = await createServiceRig(t);
  await rig.write(await rig.config(["CORE"]));
  const environment = { ...process.env, HOME: rig.folder, MOUNTAINEER_HOME: rig.home };
  const { homeContext, snapshot } = await openHome({
    home: rig.home,
    configPath: null,
    environment,
    writesStarter: false,
    clock,
  });
  await using memory = await openStateStore({
    path: join(rig.home, "state.json"),
    clock,
    logger: noopLogger,
  });
  const before = await children();
  let lines = 0;
  const logger = {
    ...noopLogger,
    info(message: string): void {
      // Its parts tell their own, whenever they like.
      if (message !== "running") return;
      lines += 1;
      throw new Error("the disk of the log is gone");
    },
  };
  await assert.rejects(
    startSentinelService({
      home: rig.home,
      homeContext,
      environment,
      snapshot,
      memory,
      clock,
      logger,
      redact: () => {},
      intervalMs: null,
      unmountOnExit: false,
    }),
    /disk of the log/,
  );
  assert.ok(lines > 0);
  await eventually(async () => (await children()).filter((pid) => !before.includes(pid)).length === 0);
});

async function children(): Promise<string[]> {
  const text = await readFile(`/proc/self/task/${process.pid}/children`, "utf8");
  return text.split(" ").filter((pid) => pid !== "");
}

/** The rejected file is the only error since that line; any other is told with its reason. */
function assertRejectedAlone({ lines }: RecordingLogger, from = 0): void {
  const errors = lines.slice(from).filter(({ level }) => level === "error");
  const messages = errors.map(({ message }) => message);
  assert.deepEqual(messages, ["config.rejected"], JSON.stringify(errors));
}

// The program that mounts goes away while it serves, as in the middle of an upgrade.
const missing = await missingForSmb("/nowhere");
const SHARE = `gone-${process.pid.toString(36)}`;

/** A PATH of its own with what mounting takes. */
async function ownPath(
  t: TestContext,
  folder: string,
): Promise<{ remove(): Promise<void>; putBack(): Promise<void> }> {
  const path = process.env["PATH"] ?? "";
  const programs = join(folder, "programs");
  await mkdir(programs);
  const put = async (name: string): Promise<void> => {
    const program = await findProgram(name, path.split(delimiter));
    assert.ok(program);
    await symlink(program, join(programs, name));
  };
  for (const name of ["fusermount3", "fusermount"]) await put(name);
  process.env["PATH"] = programs;
  t.after(() => {
    process.env["PATH"] = path;
  });
  return { remove: () => rm(join(programs, "fusermount3")), putBack: () => put("fusermount3") };
}

const tellsOf =
  (code: string) =>
  ({ conditions }: ShareStatus): boolean =>
    conditions.some((condition) => condition.code === code);

test("What to mount: with FUSE gone, no switch and no edit unmounts a working mount; both happen when it is back", {
  skip: missing ?? false,
}, async (t) => {
  const smb = await startPlainRig({ shares: [SHARE] });
  const rig = await createServiceRig(t, { RIG_PASSWORD: smb.password });
  t.after(() => smb[Symbol.asyncDispose]());
  await writeFile(join(smb.exportPath(SHARE), "file"), "of CORE");
  const text = async (mountRoot: string): Promise<string> =>
    `${await rig.config([], { mountRoot })}${[
      "[[shares]]",
      'name = "CORE"',
      `share_name = "${SHARE}"`,
      `thunderbolt_host = "${smb.tbHost}:${smb.tbPort}"`,
      `fallback_host = "${smb.fallbackHost}:${smb.fallbackPort}"`,
      `username = "${smb.username}"`,
      'on_route_change = "remount"',
      `password = "\${RIG_PASSWORD}"`,
    ].join("\n")}\n`;
  const path = await ownPath(t, rig.folder);
  await rig.write(await text("volumes"));
  const { service, until, share, transitions } = await rig.start({ unmountOnExit: true });
  await until("CORE", overTb);
  const isUnmounted = (): boolean => transitions.some(({ name }) => name === "share.unmounted");

  await path.remove();
  const switching = { to: "fallback", force: true, wait: false } as const;
  const [refused] = (await service.control.switchRoute(switching, NEVER)).results;
  assert.equal(refused?.result, "failed");
  assert.match(refused.detail, /fusermount3.*; nothing was changed$/);
  await until("CORE", tellsOf("driver_unavailable"));

  await rig.write(await text("elsewhere"));
  await until("CORE", (seen) => tellsOf("path_changed")(seen) && tellsOf("driver_unavailable")(seen));
  const verified = await service.control.verify({ shares: ["CORE"] }, NEVER);
  assert.ok(verified.findings.some(({ code }) => code === "driver_unavailable"));
  assert.equal(share("CORE").mount_path, join(rig.folder, "volumes", "CORE"));
  assert.ok(!isUnmounted(), "what serves keeps serving");
  assert.equal(await readFile(join(rig.folder, "Shares", "CORE", "file"), "utf8"), "of CORE");

  await path.putBack();
  const moved = await until("CORE", ({ mount_path, mount_alive }) => {
    return mount_alive && mount_path === join(rig.folder, "elsewhere", "CORE");
  });
  assert.ok(isUnmounted());
  assert.ok(!tellsOf("driver_unavailable")(moved));
  const [switched] = (await service.control.switchRoute(switching, NEVER)).results;
  assert.equal(switched?.result, "switched");
});

const SETTINGS = new URL("../../src/daemon/heap-settings.ts", import.meta.url).href;
const FLAGS = ["--allow-natives-syntax", "--expose-gc", "--max-semi-space-size=8", "--input-type=module"];

/** Has V8 decide that what `make` makes is born old, lets it compile that, and tells where the next one is. */
const PROGRAM = `
  function make(part) { return { part, other: null }; }
  %PrepareFunctionForOptimization(make);
  let last;
  for (let count = 0; count < 10; count++) last = make(count);
  %PretenureAllocationSite(last);
  gc({ type: "minor" });
  gc({ type: "minor" });
  %PrepareFunctionForOptimization(make);
  make(1);
  make(2);
  %OptimizeFunctionOnNextCall(make);
  make(3);
  process.stdout.write(%InYoungGeneration(make(4)) ? "young" : "old");
`;

/** Applies the settings in a process that has just started. */
const APPLIED = `import { limitHeapAfterStart } from ${JSON.stringify(SETTINGS)};
limitHeapAfterStart({ setTimer: (delayMs, callback) => delayMs < 10_000 && callback() }, () => {});`;

async function outputOf(program: string): Promise<string> {
  const args = [...FLAGS, "-e", program];
  return (await promisify(execFile)(process.execPath, args, { timeout: 60_000 })).stdout;
}

test("objects made by a call are allocated in the young heap, whatever V8 concluded from earlier calls", async () => {
  assert.equal(await outputOf(`${APPLIED}\n${PROGRAM}`), "young");
  // Otherwise this would show nothing.
  assert.equal(await outputOf(PROGRAM), "old");
});

/** Makes objects of which the last 2,000 live, as calls do, and tells the size of the young heap, both halves, MB. */
const YOUNG = `
  const { getHeapSpaceStatistics } = process.getBuiltinModule("node:v8");
  const last = [];
  for (let made = 0; made < 100_000; made++) last[made % 2_000] = { made, part: [made, made] };
  const young = getHeapSpaceStatistics().find(({ space_name }) => space_name === "new_space");
  process.stdout.write(String(young.space_size / 1024 / 1024));
`;

test("the young heap takes its whole size with the first calls, so that few of them wait for a collection", async () => {
  assert.equal(await outputOf(`${APPLIED}\n${YOUNG}`), "16");
  assert.ok(Number(await outputOf(YOUNG)) < 16);
});

test("two seconds after a start its compiled code is kept, and memory that only the start needed is collected", async () => {
  const clock = createManualClock();
  const needed = new WeakRef({ by: "the start" });
  // A weak reference holds what it was made of until the turn ends.
  await setImmediate();
  let kept = 0;
  using _ = limitHeapAfterStart(clock, () => {
    kept += 1;
  });
  await clock.advance(1_999);
  assert.ok(needed.deref());
  assert.equal(kept, 0);
  await setImmediate();
  await clock.advance(1);
  assert.equal(kept, 1);
  assert.equal(needed.deref(), undefined);
});

async function listen(t: Parameters<typeof temporaryFolder>[0]) {
  const clock = createManualClock();
  const home = await temporaryFolder(t);
  const access = await Access.open({ home, clock, logger: noopLogger });
  const take = (_: unknown, response: { end(text: string): unknown }): boolean => {
    response.end("page");
    return true;
  };
  const page = new PageListener({ take, access, clock, logger: noopLogger });
  t.after(() => page[Symbol.asyncDispose]());
  const url = await page.url();
  const { secret } = await access.makeLink();
  page.check();
  return {
    clock,
    access,
    page,
    url,
    secret,
    isServed: () =>
      fetch(url).then(
        () => true,
        () => false,
      ),
  };
}

test("the page's own address closes when its last session has ended, by timeout or by its person", async (t) => {
  for (const ending of ["link", "session", "sign-out"] as const) {
    const { clock, access, url, secret, isServed } = await listen(t);
    assert.equal(await (await fetch(url)).text(), "page");
    if (ending !== "link") {
      const given = await access.redeem(secret);
      assert.ok(given);
      await clock.advance(LINK_LIFE_MS * 2);
      assert.equal(await isServed(), true, "somebody is signed in");
      if (ending === "sign-out") await access.signOut(given.secret);
    }
    if (ending === "sign-out") await isServed();
    else await clock.advance(SESSION_LIFE_MS + LINK_LIFE_MS);
    await eventually(async () => !(await isServed()));
    await eventually(() => access.pagePort === null);
  }
});

test("a port that another program has since taken is not waited for", async (t) => {
  const first = await listen(t);
  const clock = createManualClock();
  const access = await Access.open({ home: await temporaryFolder(t), clock, logger: noopLogger });
  await access.keepPagePort(Number(new URL(first.url).port));
  await using page = new PageListener({ take: () => false, access, clock, logger: noopLogger });
  const url = await page.url();
  assert.notEqual(url, first.url);
  assert.equal(access.pagePort, Number(new URL(url).port));
  assert.equal((await fetch(url)).status, 404);
});

test("a page whose address could not be opened is opened at its next request", async (t) => {
  const clock = createManualClock();
  const access = await Access.open({ home: await temporaryFolder(t), clock, logger: noopLogger });
  await using page = new PageListener({ take: () => false, access, clock, logger: noopLogger });
  const refuse = (): never => {
    throw new Error("too many open files");
  };
  t.mock.method(Server.prototype, "listen", refuse, { times: 1 });
  await assert.rejects(page.url(), /too many open files/);
  assert.equal((await fetch(await page.url())).status, 404);
});
