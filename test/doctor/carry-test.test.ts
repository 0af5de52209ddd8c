// The self-test's move under an open file: rclone on a real SMB server with two routes, over a carrier that relays.
import assert from "node:assert/strict";
import { mkdir, readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { missingForPlainRig, startPlainRig } from "../../src/demo/stage/plain-rig.ts";
import { moveUnderOpenFile } from "../../src/doctor/carry-test.ts";
import { silentLogger } from "../../src/runtime/log/log.ts";
import { systemClock } from "../../src/runtime/time/clock.ts";
import { createRcloneDriver } from "../../src/shares/drivers/rclone/rclone.ts";
import { createMountTable } from "../../src/shares/mounts/mount-table.ts";
import { startProber } from "../../src/shares/prober/prober-process.ts";
import type { ShareSpec } from "../../src/shares/share-spec.ts";
import { createRelayCarrier } from "../daemon/relay-carrier.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const SHARE = "carry self-test";

async function setUp(t: TestContext) {
  const folder = await temporaryFolder(t);
  const rig = await startPlainRig({ shares: [SHARE] });
  t.after(() => rig[Symbol.asyncDispose]());
  const prober = startProber({ clock: systemClock, logger: silentLogger });
  t.after(() => prober[Symbol.asyncDispose]());
  const mountTable = createMountTable({ clock: systemClock });
  const driver = createRcloneDriver({
    clock: systemClock,
    logger: silentLogger,
    prober,
    mountTable,
    stateFolder: join(folder, "home"),
    addressesOf: () => [],
  });
  const carrier = createRelayCarrier();
  t.after(() => carrier[Symbol.asyncDispose]());
  const route = (host: string, port: number) => ({ host, port, interfaceName: null, folder: null });
  const share: ShareSpec = {
    name: "CORE",
    shareName: SHARE,
    username: rig.username,
    password: rig.password,
    missingVariable: null,
    driver: "rclone",
    routes: { tb: route(rig.tbHost, rig.tbPort), fallback: route(rig.fallbackHost, rig.fallbackPort) },
    mountPath: join(folder, "volumes/CORE"),
    stablePath: join(folder, "Shares/CORE"),
  };
  const endpoint = (address: string, port: number) => ({ address, port, localAddress: null });
  const work = join(folder, "work");
  await mkdir(work);
  const run = (change: Partial<ShareSpec> = {}) =>
    moveUnderOpenFile({
      clock: systemClock,
      carrier,
      driver,
      share: { ...share, ...change },
      endpoints: {
        tb: endpoint(rig.tbHost, rig.tbPort),
        fallback: endpoint(rig.fallbackHost, rig.fallbackPort),
      },
      folder: work,
      signal: new AbortController().signal,
    });
  const left = async () => ({
    onServer: await readdir(rig.exportPath(SHARE)),
    mounts: (await mountTable.read(systemClock.monotonicMs())).filter(({ path }) => path.startsWith(folder)),
    open: [...carrier.shares.keys()],
  });
  return { rig, carrier, run, left };
}

const NOTHING = { onServer: [], mounts: [], open: [] };

describe("a move under an open file", { skip: missingForPlainRig() ?? false, timeout: 180_000 }, () => {
  it("A10 is read and written on over the other route, and nothing is left behind", async (t) => {
    const { rig, carrier, run, left } = await setUp(t);
    const outcome = await run();
    assert.deepEqual(outcome, {
      carried: true,
      text: "share CORE was moved under an open file, which was read and written on",
    });
    assert.deepEqual(
      carrier.asked.map((line) =>
        line
          .split(" ")
          .filter((word) => !word.startsWith("self-test"))
          .join(" "),
      ),
      ["open", "bind", "move fallback", "close"],
    );
    assert.equal(rig.relays.tb.mode, "pass");
    assert.deepEqual(await left(), NOTHING);
  });

  it("A10 a file that reads otherwise after the move is told as that, and all is cleaned up", async (t) => {
    const { rig, carrier, run, left } = await setUp(t);
    carrier.beforeMove = async () => {
      const [name = ""] = await readdir(rig.exportPath(SHARE));
      const path = join(rig.exportPath(SHARE), name);
      await writeFile(path, Buffer.alloc((await stat(path)).size, "another file's bytes "));
    };
    const outcome = await run();
    assert.equal(outcome.carried, false, outcome.text);
    assert.match(outcome.text, /^after the move the file could not be used: /);
    assert.deepEqual(await left(), NOTHING);
  });

  it("A10 what cannot be mounted proves nothing about carrying", async (t) => {
    const { run, left } = await setUp(t);
    await assert.rejects(run({ password: "wrong" }), /cannot be mounted over a port of this machine/);
    assert.deepEqual(await left(), NOTHING);
  });
});
