// A server that takes one connection: the mount shares it, moves all the same, and status says why.
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { startPlainRig } from "../../src/demo/stage/plain-rig.ts";
import { missingForSmb } from "../../src/demo/stage/smb-available.ts";
import { endMounts, liveHome, QUICK_SYNC, untilShareOf } from "../live/live-home.ts";
import { eventually } from "../support/eventually.ts";
import { startAppender } from "./appender.ts";

describe("a server that limits connections", {
  skip: (await missingForSmb("/nowhere")) ?? false,
  timeout: 200_000,
}, () => {
  test("A17 a share of a server that takes one connection moves under open files, and the limit is reported", async (t) => {
    const share = `CORE-${process.pid.toString(36)}`;
    const nas = await startPlainRig({
      shares: [share],
      settings: ["max log size = 0", "max connections = 1"],
    });
    const home = await liveHome(t, {
      env: { NAS_PASSWORD: nas.password },
      before: () => nas[Symbol.asyncDispose](),
    });
    await home.writeConfig(
      [
        ...["[global]", `shares_root = "${join(home.folder, "Shares")}"`, "[sync]", QUICK_SYNC],
        ...["[[shares]]", 'name = "CORE"', `share_name = "${share}"`],
        `thunderbolt_host = "${nas.tbHost}:${nas.tbPort}"`,
        `fallback_host = "${nas.fallbackHost}:${nas.fallbackPort}"`,
        ...[`username = "${nas.username}"`, 'password = "${NAS_PASSWORD}"', ""],
      ].join("\n"),
    );
    const monitor = await home.start();
    try {
      await untilShareOf(
        home,
        "CORE",
        "mounted over tb",
        (one) => one.active_interface === "tb" && one.mount_alive,
      );
      await using appender = startAppender({ mounted: join(home.folder, "Shares", "CORE") }, "lines.txt");
      const grows = async (): Promise<void> => {
        const before = appender.lines();
        await eventually(() => appender.lines() > before + 5);
      };
      await grows();
      for (const to of ["fallback", "tb"] as const) {
        const moved = await home.cli(["switch", "--share", "CORE", "--to", to]);
        assert.equal(moved.code, 0, moved.stdout + moved.stderr);
        await untilShareOf(home, "CORE", `over ${to}`, (one) => one.active_interface === to);
        await grows();
      }
      assert.equal(appender.failed(), false);
      await untilShareOf(home, "CORE", "limited", ({ conditions }) =>
        conditions.some(({ code }) => code === "connections_limited"),
      );
      assert.deepEqual(await home.logged("share.remounted"), []);
      await appender.end();
    } finally {
      await endMounts(home, ["CORE"], [monitor]);
    }
  });
});
