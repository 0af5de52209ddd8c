// Which configurations may not run where they stand, because others may write it or read a secret in it.

import assert from "node:assert/strict";
import { chmod, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { test } from "node:test";
import { placeFaults, privatePaths, refusalOf } from "../../../src/daemon/compose/private-places.ts";
import type { Exposure, OpenEntry } from "../../../src/runtime/files/exposure.ts";
import { accepted } from "../../config/support.ts";
import { assertEach } from "../../support/assert-each.ts";
import { eventually } from "../../support/eventually.ts";
import { createServiceRig, NEVER } from "../service-rig.ts";

const HOME = "/home/ann/.mountaineer";
const CONFIG = `${HOME}/config.toml`;
const LITERAL = '[backends.a]\ncommand = "x"\nenv = { API_KEY = "hunter2" }\n';

const closed = (path: string): Exposure => ({
  path,
  realPath: path,
  writable: null,
  readable: null,
  failure: null,
});
const entry = (path: string, mode: string): OpenEntry => ({
  path,
  why: "mode",
  mode,
  uid: 1000,
  gid: 100,
  isFolder: false,
});

async function snapshot(text = "") {
  return { ...(await accepted(text)), path: CONFIG };
}

test("E2 home, configuration, secrets and sockets are looked at", () => {
  assert.deepEqual(privatePaths(HOME, "/etc/m.toml"), [
    HOME,
    "/etc/m.toml",
    `${HOME}/secrets.json`,
    `${HOME}/mountaineer.sock`,
    `${HOME}/mcp.sock`,
  ]);
});

test("E2 what others may write is refused, with path, mode, owner and the chmod to run", async () => {
  const open = { ...closed(CONFIG), writable: entry(CONFIG, "0666") };
  const refusal = refusalOf(placeFaults([closed(HOME), open], await snapshot()));
  assert.equal(refusal?.code, "open_to_others");
  assert.equal(refusal?.message, `${CONFIG} can be written by others (mode 0666, user 1000)`);
  assert.equal(refusal?.hint, `chmod go-w ${CONFIG}`);
});

test("E2 a folder above is named once, for all that is in it; another owner gets another hint", async () => {
  const above = { ...entry("/srv/my folder", "0777"), isFolder: true };
  const all = [HOME, CONFIG].map((path) => ({ ...closed(path), writable: above }));
  const [fault, ...others] = placeFaults(all, await snapshot());
  assert.deepEqual(others, []);
  assert.match(fault?.text ?? "", /^\/home\/ann\/\.mountaineer: \/srv\/my folder can be written by others/);
  assert.equal(fault?.hint, "chmod go-w '/srv/my folder'");
  const foreign = { ...entry(CONFIG, "0600"), why: "owner" as const, uid: 4321 };
  const refusal = refusalOf(placeFaults([{ ...closed(CONFIG), writable: foreign }], await snapshot()));
  assert.match(refusal?.message ?? "", /belongs to user 4321/);
  assert.match(refusal?.hint ?? "", /sudo chown/);
});

test("E2 what others may only read is told of, and refused where a secret is written out in it", async () => {
  const open = { ...closed(CONFIG), readable: entry(CONFIG, "0644") };
  const told = placeFaults(
    [open],
    await snapshot('[backends.a]\ncommand = "x"\nenv = { API_KEY = "${KEY}" }\n'),
  );
  assert.deepEqual(told, [
    {
      severity: "warning",
      code: "readable_by_others",
      path: CONFIG,
      text: `${CONFIG} can be read by others (mode 0644, user 1000)`,
      hint: `chmod go-r ${CONFIG}`,
    },
  ]);
  assert.equal(refusalOf(told), null);
  const refusal = refusalOf(placeFaults([open], await snapshot(LITERAL)));
  assert.match(refusal?.message ?? "", /holds what seems to be a secret: backends\.a\.env\.API_KEY$/);
  assert.doesNotMatch(`${refusal?.message} ${refusal?.hint}`, /hunter2/);
  const socket = { ...closed(`${HOME}/mcp.sock`), readable: entry(`${HOME}/mcp.sock`, "0644") };
  assert.deepEqual(placeFaults([socket], await snapshot()), []);
});

test("E2 a daemon does not start over a configuration that others may write", async (t) => {
  const rig = await createServiceRig(t);
  await rig.write(await rig.config([]));
  await chmod(rig.configFile, 0o666);
  await assert.rejects(rig.start(), { code: "open_to_others", hint: `chmod go-w ${rig.configFile}` });
  await chmod(rig.configFile, 0o600);
  await chmod(rig.home, 0o777);
  await assert.rejects(rig.start(), { code: "open_to_others", hint: `chmod go-w ${rig.home}` });
  await chmod(rig.home, 0o700);
  await rig.start();
});

test("E2 a reload of one is refused, what runs goes on, and a chmod lets it through", async (t) => {
  const rig = await createServiceRig(t);
  await rig.write(await rig.config([]));
  const { service } = await rig.start();
  const changed = await rig.config([], { global: ["network_debounce_ms = 400"] });
  await writeFile(rig.configFile, changed);
  await chmod(rig.configFile, 0o662);
  const report = await service.reload(NEVER);
  assert.equal(report.reloaded, false);
  assert.match(report.failure ?? "", /can be written by others \(mode 0662/);
  assert.ok(service.control.status().global.conditions.some(({ code }) => code === "config_failed"));
  await chmod(rig.configFile, 0o600);
  // It is tried again by itself: nothing of the content was wrong.
  await eventually(() => {
    const { conditions } = service.control.status().global;
    return conditions.every(({ code }) => code !== "config_failed");
  });
});

test("E2 a secret that is written out where others read it is refused; without one it is a condition", async (t) => {
  const rig = await createServiceRig(t);
  const text = await rig.config([]);
  await rig.write(text);
  await chmod(dirname(rig.home), 0o755);
  await chmod(rig.home, 0o755);
  await chmod(rig.configFile, 0o644);
  const { service } = await rig.start();
  const told = service.control
    .status()
    .global.conditions.filter(({ code }) => /^readable_by_others:/.test(code));
  assertEach(told, ({ hint }) => hint, [`chmod go-rwx ${rig.home}`, `chmod go-r ${rig.configFile}`]);
  await writeFile(
    rig.configFile,
    `${text}\n${LITERAL.replace("[backends.a]", "[backends.a]\nenabled = false")}`,
  );
  const report = await service.reload(NEVER);
  assert.match(report.failure ?? "", /holds what seems to be a secret: backends\.a\.env\.API_KEY/);
  assert.ok(!JSON.stringify([report, service.control.status()]).includes("hunter2"));
});
