import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdir, open, readdir, readFile, readlink, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { openHome } from "../../src/daemon/compose/home.ts";
import { startSentinelService } from "../../src/daemon/sentinel-service.ts";
import { openMemory } from "../../src/reconcile/state-file.ts";
import { silentLogger } from "../../src/runtime/log/log.ts";
import { systemClock as clock } from "../../src/runtime/time/clock.ts";
import { eventually } from "../support/eventually.ts";
import type { RecordingLogger } from "../support/recording-logger.ts";
import { createServiceRig, NEVER, overTb } from "./service-rig.ts";

test("A1 a service that starts mounts what is configured and says that it runs", async (t) => {
  const rig = await createServiceRig(t);
  await rig.write(await rig.config(["CORE", "MEDIA"]));
  const { service, until, state } = await rig.start();
  assert.equal(service.state, "running");
  await Promise.all([until("CORE", overTb), until("MEDIA", overTb)]);
  assert.equal(await readlink(join(rig.folder, "Shares", "CORE")), join(rig.folder, "volumes", "CORE"));
  assert.equal(await readlink(join(rig.folder, "volumes", "CORE")), join(rig.folder, "CORE-tb"));
  await eventually(async () => (await state()).shares["CORE"]?.["active_interface"] === "tb");
  const { global } = service.control.status();
  assert.equal(global.pid, process.pid);
  assert.equal(global.check_interval_secs, 0.2);
  assert.deepEqual(
    (await service.control.history()).entries.map(({ n, source, summary }) => ({ n, source, summary })),
    [{ n: 0, source: "start", summary: "started" }],
  );
});

test("a stop leaves mounts as they are; with unmountOnExit none is left, and nothing is held", async (t) => {
  const rig = await createServiceRig(t);
  await rig.write(await rig.config(["CORE"]));
  const first = await rig.start();
  await first.until("CORE", overTb);
  await first.stop();
  assert.equal(first.service.state, "stopping");
  const mount = join(rig.folder, "volumes", "CORE");
  assert.equal(await readlink(mount), join(rig.folder, "CORE-tb"));

  const second = await rig.start({ unmountOnExit: true });
  await second.until("CORE", overTb);
  await second.stop();
  await assert.rejects(readlink(mount), { code: "ENOENT" });
  const state = await second.state();
  assert.equal(state.shares["CORE"]?.["held"], null);
  assert.equal(state.shares["CORE"]?.["active_interface"], "none");
});

test("an edit that comes while shares are unmounted at exit mounts nothing again", async (t) => {
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

test("A6 a share that is added is mounted, and the others keep their mount and all that is known of them", async (t) => {
  const rig = await createServiceRig(t);
  await rig.write(await rig.config(["CORE"]));
  const { service, until, share, transitions } = await rig.start();
  await until("CORE", overTb);
  const before = share("CORE");
  await rig.write(await rig.config(["MEDIA", "CORE"]));
  await until("MEDIA", overTb).catch(async () => {
    // Not configured yet when `until` first looked.
    await eventually(() => service.control.status().shares.length === 2);
    await until("MEDIA", overTb);
  });
  const after = share("CORE");
  assert.equal(after.last_switch_at, before.last_switch_at);
  assert.equal(after.tb_reachable_since, before.tb_reachable_since);
  assert.equal(after.tb_healthy_since, before.tb_healthy_since);
  assert.deepEqual(
    transitions
      .filter(({ name }) => name === "config.applied")
      .map((each) => ("summary" in each ? each.summary : "")),
    ["1 share reloaded"],
  );
  assert.ok(!transitions.some((each) => each.name === "share.unmounted"), "nothing was unmounted");
  assert.deepEqual(
    service.control.status().shares.map(({ name }) => name),
    ["MEDIA", "CORE"],
    "in the file's order",
  );
});

test("A6 a share that is removed stays mounted, unmanaged, is logged and forgotten", async (t) => {
  const rig = await createServiceRig(t);
  await rig.write(await rig.config(["CORE", "MEDIA"]));
  const { service, until, logger, state } = await rig.start();
  await Promise.all([until("CORE", overTb), until("MEDIA", overTb)]);
  await rig.write(await rig.config(["CORE"]));
  await eventually(() => service.control.status().shares.length === 1);
  assert.equal(await readlink(join(rig.folder, "volumes", "MEDIA")), join(rig.folder, "MEDIA-tb"));
  assert.equal(await readlink(join(rig.folder, "Shares", "MEDIA")), join(rig.folder, "volumes", "MEDIA"));
  const lines = logger.lines.filter(({ message }) => message === "share.unmanaged");
  assert.deepEqual(
    lines.map(({ fields }) => fields),
    [{ share: "MEDIA", left_mounted_over: "tb" }],
  );
  await eventually(async () => !("MEDIA" in (await state()).shares));
});

test("A6 a share that is removed and added again begins anew: what was held is not held any more", async (t) => {
  const rig = await createServiceRig(t);
  const both = await rig.config(["CORE", "MEDIA"]);
  await rig.write(both);
  const first = await rig.start();
  await Promise.all([first.until("CORE", overTb), first.until("MEDIA", overTb)]);
  await first.service.control.unmount({ shares: ["MEDIA"] }, NEVER);
  await first.stop();

  const { service, until, share } = await rig.start();
  await until("CORE", overTb);
  assert.equal(share("MEDIA").held, "unmounted", "what is held survives a restart");
  await service.control.editText(
    { text: await rig.config(["CORE"]), expected_sha256: service.control.sync().sha256, source: "test" },
    NEVER,
  );
  await service.control.editText(
    { text: both, expected_sha256: service.control.sync().sha256, source: "test" },
    NEVER,
  );
  await until("MEDIA", overTb);
  assert.equal(share("MEDIA").held, null);
});

test("A6 removing and adding a share over and over leaves one lane for it and its newest state", async (t) => {
  const rig = await createServiceRig(t);
  const [both, one] = [await rig.config(["CORE", "MEDIA"]), await rig.config(["CORE"])];
  await rig.write(both);
  const { service, until, state, transitions } = await rig.start();
  await Promise.all([until("CORE", overTb), until("MEDIA", overTb)]);
  for (const text of [one, both, one, both, one, both]) {
    const { sha256 } = service.control.sync();
    await service.control.editText({ text, expected_sha256: sha256, source: "test" }, NEVER);
  }
  await until("MEDIA", overTb);
  await eventually(async () => (await state()).shares["MEDIA"]?.["active_interface"] === "tb");
  const mounted = transitions.filter(
    ({ name }) => name === "share.mounted" || name === "share.mount_attempt",
  );
  assert.deepEqual(mounted.filter((each) => "share" in each && each.share === "MEDIA").length <= 2, true);
});

test("A6 a route's other folder is mounted once nothing is open on the old one, and not before", async (t) => {
  const rig = await createServiceRig(t);
  await rig.write(await rig.config(["CORE", "MEDIA"]));
  const { until, share } = await rig.start();
  await Promise.all([until("CORE", overTb), until("MEDIA", overTb)]);
  const untouched = share("MEDIA");
  await writeFile(join(rig.folder, "CORE-tb", "file"), "text");
  const holder = spawn("sleep", ["600"], { cwd: join(rig.folder, "CORE-tb"), stdio: "ignore" });
  t.after(() => void holder.kill("SIGKILL"));
  await rig.write(await rig.config([{ name: "CORE", tb: "other-tb", fallback: "other-fallback" }, "MEDIA"]));
  const waiting = await until("CORE", ({ conditions }) =>
    conditions.some(({ code }) => code === "waiting_for_close"),
  );
  const condition = waiting.conditions.find(({ code }) => code === "waiting_for_close");
  assert.deepEqual(
    condition?.holders?.map(({ pid }) => pid),
    [holder.pid],
  );
  assert.equal(await readlink(join(rig.folder, "volumes", "CORE")), join(rig.folder, "CORE-tb"));
  holder.kill("SIGKILL");
  await until("CORE", (each) => overTb(each) && each.conditions.length === 0);
  assert.equal(await readlink(join(rig.folder, "volumes", "CORE")), join(rig.folder, "other-tb"));
  const after = share("MEDIA");
  assert.deepEqual(
    [after.last_switch_at, after.tb_healthy_since],
    [untouched.last_switch_at, untouched.tb_healthy_since],
  );
});

test("A6 another mount_root and shares_root move mounts and links when nothing is open", async (t) => {
  const rig = await createServiceRig(t);
  await rig.write(await rig.config(["CORE"]));
  const { until } = await rig.start();
  await until("CORE", overTb);
  await rig.write(await rig.config(["CORE"], { mountRoot: "elsewhere", sharesRoot: "Other" }));
  const moved = join(rig.folder, "elsewhere", "CORE");
  await until("CORE", (share) => overTb(share) && share.mount_path === moved);
  assert.equal(await readlink(moved), join(rig.folder, "CORE-tb"));
  await eventually(async () => (await readlink(join(rig.folder, "Other", "CORE"))) === moved);
});

test("A6 the interval and the toggles hold at once, and the flag of the command line beats the file", async (t) => {
  const rig = await createServiceRig(t);
  await rig.write(await rig.config(["CORE"], { global: ["check_interval_secs = 3600"] }));
  const { service, until, stop, logger } = await rig.start();
  await until("CORE", overTb);
  await rig.write(
    await rig.config(["CORE"], {
      global: ["check_interval_secs = 0.1", "auto_failback = true", "lsof_recheck = false"],
    }),
  );
  await eventually(() => service.control.status().global.check_interval_secs === 0.1);
  const { auto_failback, lsof_recheck } = service.control.status().global;
  assert.deepEqual({ auto_failback, lsof_recheck }, { auto_failback: true, lsof_recheck: false });
  const from = logger.lines.length;
  await eventually(
    () =>
      logger.lines
        .slice(from)
        .filter(({ message, fields }) => message === "cycle" && String(fields["trigger"]) === "tick")
        .length >= 5,
  );
  await stop();

  const flagged = await rig.start({ intervalMs: 250 });
  assert.equal(flagged.service.control.status().global.check_interval_secs, 0.25);
  await rig.write(await rig.config(["CORE"], { global: ["check_interval_secs = 5"] }));
  await eventually(() => flagged.service.control.sync().generation === 2);
  assert.equal(flagged.service.control.status().global.check_interval_secs, 0.25);
});

test("B6 a broken file changes nothing, is told once with its place, and mending it applies", async (t) => {
  const rig = await createServiceRig(t);
  await rig.write(await rig.config(["CORE"]));
  const { service, until, logger } = await rig.start();
  await until("CORE", overTb);
  const good = await rig.config(["CORE"]);
  await rig.write(good.replace("check_interval_secs = 0.2", "check_intervall_secs = 0.2"));
  const condition = await eventually(() =>
    service.control.status().global.conditions.find(({ code }) => code === "config_rejected"),
  );
  assert.match(condition.title, /config\.toml:4:1: .*check_intervall_secs/);
  assert.match(condition.title, /did you mean/);
  assert.equal(condition.severity, "error");
  assert.equal(condition.since, service.control.sync().last_error?.since);
  assert.equal(service.control.sync().generation, 1);
  assert.equal(service.control.sync().events.at(-1)?.type, "error");
  assertRejectedAlone(logger);
  const wrong = await service.control.verify({}, NEVER);
  assert.equal(wrong.ok, false);
  assert.ok(wrong.findings.some(({ share, code }) => share === null && code === "config_rejected"));
  assert.equal((await service.control.verify({ shares: ["CORE"] }, NEVER)).ok, true);

  await rig.write(good.replace("0.2", "0.3"));
  await eventually(() => service.control.sync().last_error === null);
  assert.equal(service.control.sync().generation, 2);
  assert.ok(!service.control.status().global.conditions.some(({ code }) => code.startsWith("config_")));
});

test("B4 under `stop` watching ends, every face says so, and a reload by hand applies the mend and watches again", async (t) => {
  const rig = await createServiceRig(t);
  const sync = ["poll_interval = 0.05", "debounce = 0.05", 'on_failure = "stop"'];
  const good = await rig.config(["CORE"], { sync });
  await rig.write(good);
  const { service, logger } = await rig.start();
  await rig.write(`${good}[`);
  await eventually(() => service.control.sync().watching === "stopped");
  const codes = service.control.status().global.conditions.map(({ code }) => code);
  assert.ok(codes.includes("sync_stopped") && codes.includes("config_rejected"), codes.join());
  assertRejectedAlone(logger);
  const mended = good.replace("0.2", "0.4");
  await rig.write(mended);
  const report = await service.reload(NEVER);
  assert.deepEqual(report.settings, ["global.check_interval_secs"]);
  assert.equal(report.reloaded, true);
  assert.equal(service.control.sync().watching, "live");
  await rig.write(mended.replace("0.4", "0.5"));
  await eventually(() => service.control.sync().generation === 3);
});

test("B10 with `enabled = false` nothing is watched; reloads and edits apply all the same, and can switch it on", async (t) => {
  const rig = await createServiceRig(t);
  const sync = ["enabled = false", "poll_interval = 0.05", "debounce = 0.05"];
  const text = await rig.config(["CORE"], { sync });
  await rig.write(text);
  const { service } = await rig.start();
  assert.equal(service.control.sync().watching, "off");
  await rig.write(text.replace("0.2", "0.3"));
  const report = await service.reload(NEVER);
  assert.equal(report.reloaded, true);
  assert.equal(service.control.sync().generation, 2);
  const edited = await service.control.edit(
    { edits: [{ key: "sync.enabled", value: "true" }], source: "test" },
    NEVER,
  );
  assert.deepEqual(edited.reload?.settings, ["sync.enabled"]);
  assert.equal(service.control.sync().watching, "live");
  const now = await readFile(rig.configFile, "utf8");
  await rig.write(now.replace("0.3", "0.4"));
  await eventually(() => service.control.sync().generation === 4);
});

test("B3 a file that is deleted changes nothing, is named, is not made anew, and counts when it is back", async (t) => {
  const rig = await createServiceRig(t);
  const text = await rig.config(["CORE"]);
  await rig.write(text);
  const { service, until } = await rig.start();
  await until("CORE", overTb);
  await rm(rig.configFile);
  const condition = await eventually(() =>
    service.control.status().global.conditions.find(({ code }) => code === "config_missing"),
  );
  assert.match(condition.hint ?? "", /rollback 0/);
  const report = await service.reload(NEVER);
  assert.match(report.failure ?? "", /is not there/);
  assert.equal(report.reloaded, false);
  await assert.rejects(open(rig.configFile), { code: "ENOENT" });
  await rig.write(text.replace("0.2", "0.3"));
  await eventually(() => service.control.sync().generation === 2);
  assert.ok(!service.control.status().global.conditions.some(({ code }) => code === "config_missing"));
});

test("a deleted file is written again by a rollback to what runs", async (t) => {
  const rig = await createServiceRig(t);
  const text = await rig.config(["CORE"]);
  await rig.write(text);
  const { service } = await rig.start();
  await rm(rig.configFile);
  const report = await service.control.rollback({ n: 0 }, NEVER);
  assert.equal(report.changed, true);
  assert.equal(report.reload?.reloaded, false);
  assert.equal(await readFile(rig.configFile, "utf8"), text);
  assert.equal((await service.control.history()).entries.length, 1);
});

test("B4 a folder in the file's place is told as unreadable, retried, and cleared when the file is back", async (t) => {
  const rig = await createServiceRig(t);
  const text = await rig.config(["CORE"]);
  await rig.write(text);
  const { service, until } = await rig.start();
  await until("CORE", overTb);
  await rename(rig.configFile, `${rig.configFile}.away`);
  await mkdir(rig.configFile);
  const condition = await eventually(() =>
    service.control.status().global.conditions.find(({ code }) => code === "config_unreadable"),
  );
  assert.match(condition.title, /EISDIR|not a file/);
  assert.equal(service.control.sync().events.filter(({ type }) => type === "error").length, 1);
  await rm(rig.configFile, { recursive: true });
  await rename(`${rig.configFile}.away`, rig.configFile);
  await eventually(() => service.control.sync().last_error === null);
  assert.equal(service.control.sync().generation, 1);
});

test("A10 a login that a killed daemon left is removed when the next one has started", async (t) => {
  const rig = await createServiceRig(t);
  await rig.write(await rig.config(["CORE"]));
  // Also of a share that is not configured any more.
  const folder = join(rig.home, "mounts", "GONE");
  await mkdir(folder, { recursive: true });
  for (const name of ["proof-tb.auth", "proof-fallback.4194304-0123456789ab.conf", "server.json"])
    await writeFile(join(folder, name), "");
  await rig.start();
  await eventually(async () => (await readdir(folder)).length === 1);
  assert.deepEqual(await readdir(folder), ["server.json"]);
});

test("a start that fails half way leaves no process of its own behind", async (t) => {
  const rig = await createServiceRig(t);
  await rig.write(await rig.config(["CORE"]));
  const environment = { ...process.env, HOME: rig.folder, MOUNTAINEER_HOME: rig.home };
  const { place, snapshot } = await openHome({
    home: rig.home,
    configPath: null,
    environment,
    writesStarter: false,
    clock,
  });
  await using memory = await openMemory({ path: join(rig.home, "state.json"), clock, logger: silentLogger });
  const before = await children();
  let lines = 0;
  const logger = {
    ...silentLogger,
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
      place,
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

/** The rejected file is the only error; any other is told with its reason. */
function assertRejectedAlone({ lines }: RecordingLogger): void {
  const errors = lines.filter(({ level }) => level === "error");
  const messages = errors.map(({ message }) => message);
  assert.deepEqual(messages, ["config.rejected"], JSON.stringify(errors));
}
