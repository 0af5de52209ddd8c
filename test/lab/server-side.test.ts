// What the file system lets the server do, seen from the commands that people use on a mount.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { type PlainRig, startPlainRig } from "../../src/demo/stage/plain-rig.ts";
import { missingForSmb } from "../../src/demo/stage/smb-available.ts";
import { endMounts, type LiveHome, liveHome, QUICK_SYNC, untilShareOf } from "../live/live-home.ts";
import { eventually } from "../support/eventually.ts";
import { FILE_SERVER } from "./file-agent.ts";

const execute = promisify(execFile);
const MIB = 1 << 20;

interface Mounted {
  readonly home: LiveHome;
  readonly nas: PlainRig;
  /** A path in the mount. */
  readonly at: (...parts: readonly string[]) => string;
  /** The same on the server. */
  readonly there: (...parts: readonly string[]) => string;
  /** In a process of its own, as the test's would hang with a mount. */
  readonly sh: (script: string) => Promise<string>;
}

/** Plays a story on one share that is mounted. */
async function play(
  t: TestContext,
  {
    lines = [],
    settings = [],
    shares = ["CORE"],
    sections = [],
  }: Readonly<Partial<Record<"lines" | "settings" | "shares" | "sections", readonly string[]>>>,
  story: (mounted: Mounted) => Promise<void>,
): Promise<void> {
  const shareName = (name: string) => `${name}-${process.pid.toString(36)}`;
  const nas = await startPlainRig({ shares: shares.map(shareName), settings });
  const env = { MOUNTAINEER_LOG: "debug", NAS_PASSWORD: nas.password };
  const home = await liveHome(t, { env, before: () => nas[Symbol.asyncDispose]() });
  await home.writeConfig(
    [
      ...["[global]", `shares_root = "${join(home.folder, "Shares")}"`, "check_interval_secs = 0.5"],
      ...["[sync]", QUICK_SYNC, ...sections],
      ...shares.flatMap((name) => [
        ...["[[shares]]", `name = "${name}"`, `share_name = "${shareName(name)}"`],
        `thunderbolt_host = "${nas.tbHost}:${nas.tbPort}"`,
        `fallback_host = "${nas.fallbackHost}:${nas.fallbackPort}"`,
        ...[`username = "${nas.username}"`, 'password = "${NAS_PASSWORD}"', ...lines, ""],
      ]),
    ].join("\n"),
  );
  const monitor = await home.start();
  try {
    for (const name of shares)
      await untilShareOf(home, name, "mounted", (one) => one.mount_state === "mounted" && one.mount_alive);
    const at = (...parts: readonly string[]) => join(home.folder, "Shares", "CORE", ...parts);
    await story({
      ...{ home, nas, at, there: (...parts) => join(nas.exportPath(shareName("CORE")), ...parts) },
      sh: async (script) => (await execute("sh", ["-ec", script], { cwd: at(), timeout: 60_000 })).stdout,
    });
  } finally {
    await endMounts(home, shares, [monitor]);
  }
}

describe("what the server does", {
  skip: (await missingForSmb("/nowhere")) ?? false,
  timeout: 600_000,
}, () => {
  test("A12 cp within a share, and copy between two, move no byte over the cable", (t) =>
    play(t, { shares: ["CORE", "MEDIA"] }, async ({ home, at, sh, there }) => {
      const bytes = randomBytes(40 * MIB + 3);
      await mkdir(there("films"));
      await writeFile(there("films", "big"), bytes);
      await sh(
        "until [ -e films/big ]; do sleep 0.1; done; touch -d 2020-02-02 films/big; ln -s big films/link",
      );
      const crossed = async (): Promise<number> => {
        let all = 0;
        for (const name of ["CORE", "MEDIA"]) {
          const { moves } = await untilShareOf(home, name, "it moves", (one) => one.moves != null);
          all += (moves?.bytes_to_server ?? 0) + (moves?.bytes_from_server ?? 0);
        }
        return all;
      };
      const media = (...parts: readonly string[]) => join(home.folder, "Shares", "MEDIA", ...parts);
      const copy = (...args: readonly string[]) => home.cli(["copy", at("films"), ...args]);
      const before = await crossed();
      await sh("cp films/big copy");
      assert.equal((await copy(media())).stdout, `${media("films")}: 41.9 MB\n`);
      await home.cli(["copy", at("films/big"), at("second:")]);
      await home.cli(["verify"]);
      const after = await crossed();
      assert.ok(after - before < MIB, `${after - before} bytes crossed the cable`);
      for (const path of [at("copy"), at("second:"), media("films/link")])
        assert.ok((await readFile(path)).equals(bytes), path);
      assert.equal(
        await sh("cd ../MEDIA; ls -A . films; date -r films/big +%F"),
        ".:\nfilms\n\nfilms:\nbig\nlink\n2020-02-02\n",
      );
      assert.match((await copy(media())).stderr, /exists/);
      assert.match((await copy(at("films/inner"))).stderr, /lies in/);
      await sh("echo mine >../MEDIA/mine");
      const onto = (...more: readonly string[]) =>
        home.cli(["copy", at("films/big"), media("mine"), ...more]);
      assert.match((await onto()).stderr, /exists.*--force/s);
      assert.equal((await onto("--force")).code, 0);
      assert.ok((await readFile(media("mine"))).equals(bytes));
      assert.match((await copy(join(home.folder, "here"))).stderr, /is not a share.*cp -R/s);
    }));

  test("A12 symbolic links are made, shown and kept as on a Mac; one that leads out of the share is a file", (t) =>
    play(t, { lines: ['file_mode = "0755"'] }, async ({ sh, there }) => {
      await sh("mkdir -p lib .bin && echo 'echo ran' >lib/tool && ln -s ../lib/tool .bin/tool");
      assert.equal(await sh(".bin/tool"), "ran\n");
      assert.match(
        await readFile(there(".bin", "tool"), "utf8"),
        /^XSym\n0011\n[0-9a-f]{32}\n\.\.\/lib\/tool\n +$/,
      );
      await sh("cp -a .bin copied && mv copied moved && cat moved/tool");
      // A colleague's.
      const digest = createHash("md5").update("/etc/passwd").digest("hex");
      const planted = `XSym\n0011\n${digest}\n/etc/passwd\n`.padEnd(1067);
      await writeFile(there("planted"), planted);
      assert.equal(await sh("until [ -e planted ]; do sleep 0.1; done; cat planted"), planted);
      await assert.rejects(sh("ln -s /etc/passwd out"), /Operation not permitted/);
      await sh("python3 -m venv venv --without-pip 2>&1 && venv/bin/python -c 'print(1)'");
    }));
  const snapshots = [
    ...["vfs objects = shadow_copy2", "shadow:snapdir = .snaps"],
    ...["shadow:snapdirseverywhere = yes", "veto files = /.snaps/"],
  ];
  const files = ["[backends.files]", `command = "${process.execPath}"`, `args = ["${FILE_SERVER}", "/tmp"]`];
  const missingSnapshots = !existsSync("/usr/lib/x86_64-linux-gnu/samba/vfs/shadow_copy2.so");
  test("A18 yesterday's file is listed, read and restored", { skip: missingSnapshots }, (t) =>
    play(t, { settings: snapshots }, async ({ home, at, sh, there }) => {
      const kept = async (time: string, text: string): Promise<void> => {
        await mkdir(there(".snaps", `@GMT-${time}`, "docs"), { recursive: true });
        await writeFile(there(".snaps", `@GMT-${time}`, "docs", "note"), text);
      };
      await kept("2026.01.01-10.00.00", "older");
      await kept("2026.01.02-10.00.00", "yesterday");
      await sh("mkdir docs && echo today >docs/note && echo mine >other");
      const listed = await home.cli(["versions", at("docs/note"), "--json"]);
      const times = (JSON.parse(listed.stdout) as { time: string }[]).map(({ time }) => time);
      assert.deepEqual(times, ["2026-01-02T10:00:00Z", "2026-01-01T10:00:00Z"]);
      const from = (...args: readonly string[]) => home.cli(["restore", at("docs/note"), "--from", ...args]);
      assert.match((await from("2026-01-02")).stderr, /exists.*--force/s);
      assert.match((await from("2026-01-02", "--to", at("other"))).stderr, /exists/);
      assert.match((await from("2026-01")).stderr, /2 versions/);
      assert.equal(await sh("cat docs/note other"), "today\nmine\n");
      assert.equal((await from("2026-01-01", "--to", at("old"))).code, 0);
      assert.equal((await from("2026-01-02", "--force")).code, 0);
      assert.equal(await sh("cat docs/note old; ls -A"), "yesterdayolderdocs\nold\nother\n");
      await sh("rm -r docs");
      await home.cli(["restore", at("docs"), "--from", "2026-01-02"]);
      assert.equal(await sh("cat docs/note"), "yesterday");
      assert.match((await home.cli(["doctor"])).stdout, /into CORE-\S+; versions: 2 snapshots/);
      await assert.rejects(sh("echo x >.versions/2026-01-02T10:00:00Z/docs/note"), /Read-only/);
    }),
  );
  test("A18 when runs a program while a share is on a route, and ends or stops it when the route is lost", (t) =>
    play(t, {}, async ({ home, nas }) => {
      const when = (...args: readonly string[]) => home.cli(["when", "--share", "CORE", "--route", ...args]);
      const override = async () => (await home.shareStatus("CORE")).override;
      assert.equal((await when("fallback", "--", "sh", "-c", "exit 7")).code, 7);
      assert.equal(await override(), null);
      await home.cli(["switch", "--share", "CORE", "--to", "fallback"]);
      for (const route of ["fallback", "tb"]) {
        assert.equal((await when(route, "--", "true")).code, 0);
        assert.equal(await override(), "fallback");
      }
      await home.cli(["switch", "--share", "CORE", "--to", "auto"]);
      const on = join(home.folder, "on");
      const script = (text: string) => ["--", "sh", "-c", `echo run >${on}; ${text}`];
      const started = () => eventually(() => existsSync(on));
      const ending = when("tb", ...script("trap 'exit 5' TERM; sleep 60 & wait"));
      await started();
      assert.equal((await home.shareStatus("CORE")).active_interface, "tb");
      await nas.cables.tb.setMode("refuse");
      const ended = await ending;
      assert.equal(ended.code, 5, ended.stderr);
      assert.match(ended.stderr, /CORE is no longer on tb: sh is ended/);
      assert.equal((await when("tb", "--within", "1s", "--", "true")).code, 1);
      await rm(on);
      await nas.cables.tb.setMode("pass");
      const counting = when(
        "tb",
        "--pause",
        ...script(`i=0; while [ $i -lt 40 ]; do i=$((i+1)); echo $i >>${on}; sleep 0.1; done`),
      );
      await started();
      await nas.cables.tb.setMode("refuse");
      await untilShareOf(home, "CORE", "fallback", (one) => one.active_interface === "fallback");
      const lines = () => readFile(on, "utf8").then((text) => text.split("\n").length);
      const stopped = await eventually(async () => {
        const before = await lines();
        await new Promise((resolve) => setTimeout(resolve, 1_000));
        return before === (await lines()) && before;
      });
      assert.ok(stopped < 41, `${stopped} lines before it was stopped`);
      await nas.cables.tb.setMode("pass");
      assert.equal((await counting).code, 0);
      assert.equal(await lines(), 42);
    }));

  const onCable = [
    ...[...files, 'requires = [{ share = "CORE", route = "thunderbolt" }]', "unavailable_after_secs = 0.5"],
  ];
  test("C1 tools that require a route leave when the share is on another one, and return with it", (t) =>
    play(t, { sections: onCable }, async ({ home, nas }) => {
      const tools = async () =>
        (await home.cli(["tools", "list"])).stdout.match(/read_text_file/g)?.length ?? 0;
      await eventually(async () => (await tools()) > 0);
      await nas.cables.tb.setMode("refuse");
      await eventually(async () => (await tools()) === 0);
      // While it moves, the reason is that programs wait.
      const why = /share CORE is away: it is on Fallback, not on/;
      await eventually(async () => why.test((await home.cli(["why", "files"])).stdout));
      await nas.cables.tb.setMode("pass");
      await home.cli(["switch", "--share", "CORE", "--to", "tb"]);
      await eventually(async () => (await tools()) > 0);
    }));
});
