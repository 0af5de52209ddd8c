// A start that finds mistakes in the file, in a home that accepted a content of it before.

import assert from "node:assert/strict";
import { access, chmod, mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { OWNER_RIGHTS } from "../../src/api/operations/operation.ts";
import { openHistory } from "../../src/config/history/history.ts";
import { openHome } from "../../src/daemon/compose/home.ts";
import { MountaineerError } from "../../src/runtime/errors.ts";
import { sha256Of } from "../../src/runtime/files/sha256.ts";
import { systemClock as clock } from "../../src/runtime/time/clock.ts";
import { assertEach } from "../support/assert-each.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { readersInProcess } from "../support/reader-in-process.ts";
import { createServiceRig, NEVER, overTb, type ServiceRig } from "./service-rig.ts";

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
