import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import type { ShareStatus, StatusReport } from "../../src/api/contract/contract.ts";
import { startPlainRig } from "../../src/demo/stage/plain-rig.ts";
import { startSimulatedCable } from "../../src/demo/stage/simulated-cable.ts";
import { missingForSmb } from "../../src/demo/stage/smb-available.ts";
import { assertEach } from "../support/assert-each.ts";
import { eventually } from "../support/eventually.ts";
import { pluck } from "../support/pluck.ts";
import { serversOf } from "../support/processes.ts";
import { endMounts, type LiveHome, liveHome, mountIdAt, QUICK_SYNC, SETTLES_MS } from "./live-home.ts";

const missing = await missingForSmb("/nowhere");
const needsSmb = { skip: missing ?? false };
const serverName = (share: string): string => `${share}-${process.pid.toString(36)}`;

interface SmbShare {
  readonly name: string;
  readonly tb?: string;
}

/** Until it waits for what somebody has open. */
function untilWaiting(home: LiveHome, share: string): Promise<ShareStatus> {
  return home.untilShare(
    share,
    ({ conditions }) => conditions.some(({ code }) => code === "waiting_for_close"),
    SETTLES_MS,
  );
}

async function smbHome(t: TestContext) {
  const rig = await startPlainRig({ shares: ["CORE", "MEDIA"].map(serverName) });
  /** Another way to the server over Thunderbolt: another host to whoever looks at names. */
  const otherTb = await startSimulatedCable({
    host: "127.0.0.4",
    targetHost: rig.tbHost,
    targetPort: rig.tbPort,
  });
  const home: LiveHome = await liveHome(t, {
    env: { RIG_PASSWORD: rig.password },
    before: async () => {
      // A test that failed may have left a mount; without its server it would hold the clean-up up for long.
      if ((await serversOf(home.home)).length > 0) await endMounts(home, ["CORE", "MEDIA"], []);
      await otherTb[Symbol.asyncDispose]();
      await rig[Symbol.asyncDispose]();
    },
  });
  for (const share of ["CORE", "MEDIA"]) {
    await writeFile(join(rig.exportPath(serverName(share)), "file"), `of ${share}`);
  }
  return {
    home,
    rig,
    otherTb,
    mountPath: (share: string) => join(home.home, "volumes", share),
    text(shares: readonly SmbShare[]) {
      const lines = [
        "[global]",
        `shares_root = "${join(home.folder, "Shares")}"`,
        "check_interval_secs = 0.5",
        'on_route_change = "remount"',
        // No cable is pulled here: a server that is slow to answer is not gone.
        "connect_timeout_ms = 10000",
        "[sync]",
        QUICK_SYNC,
      ];
      for (const { name, tb = `${rig.tbHost}:${rig.tbPort}` } of shares) {
        lines.push("[[shares]]", `name = "${name}"`, `share_name = "${serverName(name)}"`);
        lines.push(`thunderbolt_host = "${tb}"`, `fallback_host = "${rig.fallbackHost}:${rig.fallbackPort}"`);
        lines.push(`username = "${rig.username}"`, 'password = "${RIG_PASSWORD}"');
      }
      return `${lines.join("\n")}\n`;
    },
  };
}

test(
  "A6 a mount whose host changed waits for open files, then is remounted; another share is not touched",
  needsSmb,
  async (t) => {
    const { home, text, mountPath, otherTb } = await smbHome(t);
    await home.writeConfig(text([{ name: "CORE" }, { name: "MEDIA" }]));
    await home.start(["--unmount-on-exit"]);
    const [, media] = await home.untilMounted("CORE", "MEDIA");
    const ids = await Promise.all(["CORE", "MEDIA"].map((share) => mountIdAt(mountPath(share))));
    const holder = await home.hold(join(home.folder, "Shares", "CORE"));

    await home.writeConfig(
      text([{ name: "CORE", tb: `${otherTb.host}:${otherTb.port}` }, { name: "MEDIA" }]),
    );
    const waiting = await untilWaiting(home, "CORE");
    const condition = waiting.conditions.find(({ code }) => code === "waiting_for_close");
    assert.deepEqual(pluck(condition?.holders ?? [], "pid"), [holder.pid]);
    assert.equal(waiting.tb_host, `${otherTb.host}:${otherTb.port}`);
    assert.equal(await mountIdAt(mountPath("CORE")), ids[0], "nothing is unmounted while a file is open");
    holder.kill("SIGKILL");
    // By its announcement: the kernel gives the id of a mount that is gone to the next.
    await eventually(async () => (await home.logged("share.remounted")).length === 1);
    await home.untilShare(
      "CORE",
      ({ conditions, mount_alive, active_interface }) =>
        conditions.length === 0 && mount_alive && active_interface === "tb",
      SETTLES_MS,
    );
    assert.equal(await readFile(join(home.folder, "Shares", "CORE", "file"), "utf8"), "of CORE");

    assert.equal(await mountIdAt(mountPath("MEDIA")), ids[1], "the very same mount");
    const after = await home.shareStatus("MEDIA");
    assert.deepEqual(
      [after.tb_reachable_since, after.tb_healthy_since, after.last_switch_at],
      [media?.tb_reachable_since, media?.tb_healthy_since, media?.last_switch_at],
    );
    const moved = await home.logged("share.remounted");
    assertEach(moved, (line) => line["share"], ["CORE"]);
  },
);

test(
  "B1 A6 plain shares are edited into a NAS over open files and stay mounted; its other host then moves them all, once each",
  needsSmb,
  async (t) => {
    const { home, text, rig, mountPath, otherTb } = await smbHome(t);
    const names = ["CORE", "MEDIA"];
    const guarded = (config: string) => config.replace("[sync]", '[trust]\napprove = "all"\n[sync]');
    const plain = guarded(text(names.map((name) => ({ name }))));
    await home.writeConfig(plain);
    await home.start(["--unmount-on-exit"]);
    await home.untilMounted("CORE", "MEDIA");
    const mountIds = () => Promise.all(names.map((share) => mountIdAt(mountPath(share))));
    const ids = await mountIds();
    const holder = await home.hold(join(home.folder, "Shares", "CORE"));

    const [begin = ""] = plain.split("[[shares]]");
    const onNas = (tb: string): string =>
      [
        begin,
        `[nas.home]\nthunderbolt_host = "${tb}"\nfallback_host = "${rig.fallbackHost}:${rig.fallbackPort}"`,
        `username = "${rig.username}"\npassword = "\${RIG_PASSWORD}"`,
        ...names.map(
          (name) => `[[shares]]\nname = "${name}"\nshare_name = "${serverName(name)}"\nnas = "home"`,
        ),
        "",
      ].join("\n");
    const applied = async (config: string): Promise<void> => {
      await home.writeConfig(config);
      const ended = await home.cli(["reload"]);
      assert.equal(ended.code, 0, ended.stderr);
    };
    const first = onNas(`${rig.tbHost}:${rig.tbPort}`);
    await applied(first);
    const status = async (): Promise<StatusReport> =>
      JSON.parse((await home.cli(["status", "--json"])).stdout);
    const { shares, global } = await status();
    assert.deepEqual(pluck(shares, "nas"), ["home", "home"]);
    assert.ok(!JSON.stringify([shares, global]).includes("approval"), "nothing waits for a person");
    await applied(first.replace("[sync]", "[notify]\ntb_ready = false\n[sync]"));
    assert.deepEqual(await mountIds(), ids, "the very same mounts");
    assert.deepEqual(await home.logged("share.remounted"), []);

    // A person's edit: another program's would wait for approval.
    const other = `${otherTb.host}:${otherTb.port}`;
    const refused = await home.cli(["config", "set", "shares.CORE.thunderbolt_host", other]);
    assert.match(
      refused.stderr,
      /`thunderbolt_host` beside `nas` in line \d+[\s\S]*`nas\.home\.thunderbolt_host`/,
    );
    const moved = await home.cli(["config", "set", "nas.home.thunderbolt_host", other]);
    assert.equal(moved.code, 0, moved.stderr);
    await untilWaiting(home, "CORE");
    assert.equal(await mountIdAt(mountPath("CORE")), ids[0], "nothing is unmounted while a file is open");
    holder.kill("SIGKILL");
    await eventually(async () => (await home.logged("share.remounted")).length === 2);
    await home.untilMounted("CORE", "MEDIA");
    assert.deepEqual(pluck((await status()).shares, "tb_host"), [other, other]);
    assert.deepEqual((await home.logged("share.remounted")).map((line) => line["share"]).toSorted(), names);
  },
);

test(
  "F3 a share that its NAS denies is not saved: the NAS's shares are named; --anyway and a refused login save it",
  needsSmb,
  async (t) => {
    const { home, text, rig } = await smbHome(t);
    const before = text([]);
    await home.writeConfig(before);
    const configText = () => readFile(join(home.home, "config.toml"), "utf8");
    const hosts = ["--tb-host", `${rig.tbHost}:${rig.tbPort}`];
    const add = (share: string, username: string, ...more: readonly string[]) =>
      home.cli([
        ...["shares", "add", "--share", share, ...hosts, "--username", username],
        ...["--password", "${RIG_PASSWORD}", ...more],
      ]);
    const near = `${serverName("CORE")}s`;
    const denied = await add(near, rig.username);
    assert.equal(denied.code, 2, denied.stderr);
    assert.match(
      denied.stderr,
      new RegExp(`has no share called ${near}; it has ${serverName("CORE")}, ${serverName("MEDIA")}`),
    );
    assert.match(denied.stderr, new RegExp(`did you mean ${serverName("CORE")}\\?.*--anyway`));
    assert.equal(await configText(), before);
    const saved = await add(near, rig.username, "--anyway");
    assert.equal(saved.code, 1, saved.stderr);
    assert.match(await configText(), new RegExp(`name = "${near}"`));
    const refused = await add("other", "nobody-here");
    assert.equal(refused.code, 1, refused.stderr);
    assert.match(refused.stderr, /saved although it is not mounted/);
  },
);
