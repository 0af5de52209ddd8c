import assert from "node:assert/strict";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { type TestContext, test } from "node:test";
import { folderPaths, makeFleet } from "../../../src/fleet/way-in/fleet-folder.ts";
import {
  ensureServer,
  reloadServer,
  renewServer,
  runningServer,
} from "../../../src/fleet/way-in/server-process.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { eventually } from "../../support/eventually.ts";
import { freePort } from "../../support/free-port.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { endServer } from "./homes.ts";

const SERVER = join(import.meta.dirname, "programs/reluctant-server.mjs");
const LATE_MS = 5_000;

interface Manner {
  /** So many hang-ups are lost. */
  readonly deaf?: number;
  /** So many bytes of log follow at once. */
  readonly chatty?: number;
  readonly refuses?: boolean;
  /** It ends at the first. */
  readonly dies?: boolean;
}

/** A fleet's server that runs, and hears hang-ups in that manner; `late` lets the product's patience pass. */
async function serverOf(t: TestContext, { deaf = 0, chatty = 0, refuses = false, dies = false }: Manner) {
  let home = "";
  // Before the folder goes, which says which process it is.
  t.after(() => endServer(home));
  const folder = await temporaryFolder(t);
  home = join(folder, "home");
  await mkdir(home, { mode: 0o700 });
  const program = join(folder, "nats-server");
  await writeFile(program, `#!/bin/sh\nexec '${process.execPath}' '${SERVER}' "$@"\n`);
  await chmod(program, 0o755);
  const { PATH } = process.env;
  process.env["PATH"] = `${folder}${delimiter}${PATH}`;
  t.after(() => {
    process.env["PATH"] = PATH;
  });
  // Stands still between the looks, however long these take.
  let passedMs = 0;
  const clock = { ...systemClock, monotonicMs: () => passedMs };
  const place = { home, clock };
  const address = `127.0.0.1:${await freePort()}`;
  await makeFleet(place, {
    address,
    operator: Buffer.alloc(32).toString("base64url"),
    home: "nas",
    members: [],
  });
  const beside = (name: string): string => join(folderPaths(home).folder, name);
  await writeFile(beside("manner"), JSON.stringify({ deaf, chatty, refuses, dies }));
  // No time passes here that would end a reload which never does.
  const signal = AbortSignal.any([t.signal, AbortSignal.timeout(60_000)]);
  assert.equal(await ensureServer(place, signal), "started");
  const first = await runningServer(home);
  assert.ok(first !== null);
  /** Who heard each hang-up. */
  const heardBy = async (): Promise<readonly number[]> =>
    (await readFile(beside("heard"), "utf8").catch(() => "")).split("\n").filter(Boolean).map(Number);
  return {
    pid: first.pid,
    heardBy,
    running: async () => (await runningServer(home))?.pid,
    reload: () => reloadServer(place, signal),
    renew: () => renewServer(place, signal),
    config: folderPaths(home).config,
    async late(hangups: number) {
      await eventually(async () => (await heardBy()).length === hangups);
      passedMs += LATE_MS;
    },
  };
}

test("the server's word that it has reloaded is found under all that it writes behind it", async (t) => {
  const server = await serverOf(t, { chatty: 200_000 });
  await server.reload();
  assert.deepEqual(await server.heardBy(), [server.pid]);
});

test("a server that lost the signal is asked to reload once more", async (t) => {
  const server = await serverOf(t, { deaf: 1 });
  const reloaded = server.reload();
  await server.late(1);
  await reloaded;
  assert.deepEqual(await server.heardBy(), [server.pid, server.pid]);
  assert.equal(await server.running(), server.pid);
});

test("a server that hears no signal is started anew", async (t) => {
  const server = await serverOf(t, { deaf: 9 });
  const reloaded = server.reload();
  await server.late(1);
  await server.late(2);
  await reloaded;
  const running = await server.running();
  assert.ok(running !== undefined && running !== server.pid, String(running));
  assert.deepEqual(await server.heardBy(), [server.pid, server.pid]);
});

test("a server that ends when it is asked is started anew, at once", async (t) => {
  const server = await serverOf(t, { dies: true });
  await server.reload();
  const running = await server.running();
  assert.ok(running !== undefined && running !== server.pid, String(running));
});

test("what an earlier version has set up is brought up to date and reloaded, and what is as it should be left alone", async (t) => {
  const server = await serverOf(t, {});
  assert.equal(await server.renew(), false);
  const config = await readFile(server.config, "utf8");
  await writeFile(server.config, "# of an earlier version\n");
  assert.equal(await server.renew(), true);
  assert.deepEqual([await readFile(server.config, "utf8"), await server.heardBy()], [config, [server.pid]]);
});

test("a server that refuses its configuration goes on, and is not asked again", async (t) => {
  const server = await serverOf(t, { refuses: true });
  await assert.rejects(server.reload(), {
    code: "fleet_server_failed",
    message: "nats-server refused its configuration: no such user",
  });
  assert.deepEqual(await server.heardBy(), [server.pid]);
  assert.equal(await server.running(), server.pid);
});
