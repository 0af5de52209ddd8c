// The line of fstab for a share that the kernel's client mounts: what is written, what stays, and what is refused.
import assert from "node:assert/strict";
import { chmod, chown, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fstabEntry } from "../../../src/daemon/compose/fstab-entry.ts";
import { gatewayConfig, wantsGateway } from "../../../src/daemon/compose/gateway-config.ts";
import { logFilePath, logLevel } from "../../../src/daemon/compose/log-settings.ts";
import { loopGuard, requireNoOwnBackend } from "../../../src/daemon/compose/loop-guard.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { parseFstab } from "../../../src/shares/mounts/fstab.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { configOf, smbShare } from "../samples.ts";

const LINE =
  /^\/\/127\.0\.0\.1\/CORE \S+\/CORE cifs users,noauto,port=\d+,hard,nosharesock,echo_interval=21,username=\w+ 0 0$/;

/** A machine with mount.cifs whose fstab holds `content`, and a user's home in the same folder. */
async function machine(t: TestContext, content: string | Buffer | null) {
  const home = await temporaryFolder(t);
  const fstab = join(home, "fstab");
  await writeFile(join(home, "mount.cifs"), "", { mode: 0o755 });
  if (content !== null) await writeFile(fstab, content);
  // Of the list of file systems, which a Mac lacks, only its being there is asked.
  const tools = { userId: 1000, programFolders: [home], fstab, filesystems: home };
  const config = await configOf(`
[global]
mount_root = "${home}/volumes"
${smbShare("CORE", ['password = "secret:nas"'])}
${smbShare("OFF", ['relay = "off"'])}
`);
  const [core, off] = config.shares;
  assert.ok(core !== undefined && off !== undefined);
  return {
    ...{ fstab, path: `${home}/volumes/CORE` },
    ...{ home, core, tools },
    line: (isWanted = true, share = core, own = tools) => fstabEntry(home, config, share, isWanted, own),
    text: () => readFile(fstab, "latin1"),
    off,
  };
}

test("a share's line is added, without a password, and every other byte, mode and owner stay", async (t) => {
  const before = Buffer.concat([Buffer.from("# caf\xe9 \x00\xff\nUUID=1-2\t/  ext4 defaults 0 1", "latin1")]);
  const { line, text, fstab } = await machine(t, before);
  await chmod(fstab, 0o640);
  const { mode, uid, gid } = await stat(fstab);
  const planned = await line();
  assert.match(planned.line, LINE);
  await planned.save?.();
  assert.equal(await text(), `${before.toString("latin1")}\n${planned.line}\n`);
  const after = await stat(fstab);
  assert.deepEqual([after.mode, after.uid, after.gid], [mode, uid, gid]);

  assert.equal((await line()).save, null, "it is there, and would be written again");
  await (await line(false)).save?.();
  assert.equal(await text(), `${before.toString("latin1")}\n`);
  assert.equal((await line(false)).save, null, "it is gone, and would be removed again");
});

test("a port in another line is not used", async (t) => {
  const first = await (await machine(t, "")).line();
  const port = parseFstab(first.line)[0]?.relayPort ?? 0;
  const { line } = await machine(t, `//127.0.0.1/x /mnt/x cifs users,port=${port} 0 0\n`);
  assert.equal(parseFstab((await line()).line)[0]?.relayPort, port + 1);
});

test("a missing fstab is created, readable by all", async (t) => {
  const { line, fstab, text } = await machine(t, null);
  const planned = await line();
  await planned.save?.();
  assert.equal((await stat(fstab)).mode & 0o777, 0o644);
  assert.equal(await text(), `${planned.line}\n`);
});

test("root needs no line in its own home, and writes one for another user; without mount.cifs no one gets a line", async (t) => {
  const { home, line, core, tools } = await machine(t, "");
  const isOwn = (await stat(home)).uid === 0;
  const asked = line(true, core, { ...tools, userId: 0 });
  if (isOwn) await assert.rejects(asked, /root needs no line/);
  else assert.equal((await asked).isRoot, true);
  if (isOwn) {
    await chown(home, 1000, 1000);
    assert.equal((await line(true, core, { ...tools, userId: 0 })).isRoot, true);
  }
  await assert.rejects(line(true, core, { ...tools, programFolders: [] }), { code: "driver_unavailable" });
});

test("a line that the command has not written is not touched, and is reported by its position, never its content", async (t) => {
  const { path } = await machine(t, null);
  const others = [
    "/dev/sda1 PATH ext4 defaults 0 0",
    "//nas/CORE PATH cifs users,password=hunter2 0 0",
    "//127.0.0.1/CORE PATH cifs hard,port=24000 0 0",
    "//127.0.0.1/CORE PATH cifs users,hard 0 0",
    "//127.0.0.1/OTHER PATH/ cifs users,hard,port=24000 0 0",
    "//127.0.0.1/CORE PATH cifs users,soft,port=24000 0 0",
    "//127.0.0.1/CORE PATH cifs users,hard,port=24000 0 0\n//127.0.0.1/CORE PATH cifs users,hard,port=24001 0 0",
  ];
  assert.ok(path.startsWith("/"));
  for (const other of others) {
    const placed = await machine(t, null);
    const content = `# first\n${other.replaceAll("PATH", placed.path)}\n`;
    await writeFile(placed.fstab, content);
    for (const isWanted of [true, false]) {
      await assert.rejects(placed.line(isWanted), (error: Error) => {
        assert.match(error.message, /^line 2 of fstab has .*CORE already$/);
        return !JSON.stringify(error).includes("hunter2");
      });
    }
    assert.equal(await placed.text(), content);
  }
});

test("a person's own line for the share suffices for mounting, and is never removed", async (t) => {
  const { line, fstab, text, path } = await machine(t, null);
  const ours = (await line()).line;
  const [, username] = /(username=\w+)/.exec(ours) ?? [];
  for (const own of [
    `//127.0.0.1/CORE ${path} cifs users,hard,port=24000,credentials=/root/x,dir_mode=0755 0 0\n`,
    `${ours.replace(username ?? "", `${username},dir_mode=0755`)}\n`,
  ]) {
    await writeFile(fstab, own);
    assert.equal((await line()).save, null);
    await assert.rejects(line(false), /^MountaineerError: line 1 of fstab has .*CORE already$/);
    assert.equal(await text(), own);
  }
  await writeFile(fstab, `${ours.replace(/port=\d+/, "port=24999")}\n`);
  await (await line(false)).save?.();
  assert.equal(await text(), "", "ours, whatever its port");
});

test("a change of fstab in between is not overwritten, and a share that is not relayed has no line", async (t) => {
  const { line, fstab, text, off } = await machine(t, "");
  const planned = await line();
  await writeFile(fstab, "# another's\n");
  await assert.rejects(async () => planned.save?.(), /has changed since it was read/);
  assert.equal(await text(), "# another's\n");
  await assert.rejects(line(true, off), /relay = "off"/);
});

const place = { home: "/home/ada/.mountaineer", userHome: "/home/ada" } as const;

const CASES: readonly [environment: Record<string, string>, platform: NodeJS.Platform, path: string][] = [
  [{}, "linux", "/home/ada/.local/state/mountaineer/mountaineer.log"],
  [{ XDG_STATE_HOME: "" }, "linux", "/home/ada/.local/state/mountaineer/mountaineer.log"],
  [{ XDG_STATE_HOME: "/var/ada" }, "linux", "/var/ada/mountaineer/mountaineer.log"],
  [{}, "darwin", "/home/ada/Library/Logs/mountaineer.log"],
  [{ XDG_STATE_HOME: "/var/ada" }, "darwin", "/home/ada/Library/Logs/mountaineer.log"],
  [
    { MOUNTAINEER_HOME: "/home/ada/.mountaineer" },
    "linux",
    "/home/ada/.local/state/mountaineer/mountaineer.log",
  ],
  [{ MOUNTAINEER_HOME: "" }, "linux", "/home/ada/.local/state/mountaineer/mountaineer.log"],
];

for (const [environment, platform, path] of CASES) {
  test(`A9 the log on ${platform} with ${JSON.stringify(environment)} is ${path}`, () => {
    assert.equal(logFilePath({ ...place, environment, platform }), path);
  });
}

for (const [wanted, level] of [
  [undefined, "info"],
  ["", "info"],
  ["debug", "debug"],
  ["DEBUG", "debug"],
  ["info", "info"],
  ["warn", "warn"],
  ["error", "error"],
  ["trace", "info"],
  [" debug", "info"],
] as const) {
  test(`MOUNTAINEER_LOG=${wanted ?? "(unset)"} logs from ${level} up`, () => {
    assert.equal(logLevel(wanted === undefined ? {} : { MOUNTAINEER_LOG: wanted }), level);
  });
}

test("C3 a gateway is wanted with a backend or `[server]`, and not without both, whatever else is configured", async () => {
  const wants = async (text: string): Promise<boolean> => wantsGateway(await configOf(text));
  assert.equal(await wants(""), false);
  assert.equal(await wants('[conflict_resolution]\nstrategy = "prefix"\n[audit]\n'), false);
  assert.equal(await wants("[server]\n"), true);
  assert.equal(await wants('[backends.a]\ncommand = "server"\nenabled = false\n'), true);
  assert.equal(await wants(FLEET), false);
  assert.equal(await wants(`${FLEET}import = ["*"]\n`), true);
});

const FLEET = '[fleet]\nname = "a"\nservers = ["tls://nas.example:4222"]\ncredentials = "secret:x"\n';

test("G1 the named backends, or all, are exported, except disabled ones", async () => {
  const backends = ["a", "b", "c"].map(
    (name) => `[backends.${name}]\ncommand = "x"\nenabled = ${name !== "c"}\n`,
  );
  const exported = async (list: string) =>
    gatewayConfig(await configOf(`${backends.join("")}${FLEET}export = ${list}\n`)).exports;
  assert.deepEqual([await exported('["*"]'), await exported('["b", "c"]')], [["a", "b"], ["b"]]);
});

test("C2 backends fail back automatically unless both of its settings are off", async () => {
  const goesBack = async (failback: boolean, recheck: boolean) =>
    gatewayConfig(await configOf(`[global]\nauto_failback = ${failback}\nlsof_recheck = ${recheck}\n`))
      .failback?.isAutomatic;
  assert.deepEqual(
    [await goesBack(true, false), await goesBack(false, true), await goesBack(false, false)],
    [true, true, false],
  );
});

test("B6 the gateway's part of a configuration is all of its sections, and none of the shares' ones", async () => {
  const config = await configOf('[server]\nport = 9100\n[backends.a]\ncommand = "server"\n[audit]\n');
  const { server, backends, audit, authorization, ...rest } = gatewayConfig(config);
  assert.deepEqual([server?.port, backends.length, authorization], [9100, 1, null]);
  assert.equal(audit?.keep, 5);
  assert.deepEqual(Object.keys(rest).toSorted(), [
    "conflictResolution",
    "failback",
    "groups",
    "incomingAuth",
    "limits",
    "optimizer",
    "profiles",
    "scripts",
    "telemetry",
    "trust",
  ]);
});

const isOwn = (error: unknown): boolean => error instanceof MountaineerError && error.code === "gateway_off";

test("a gateway below its own is refused, however far below; one of another configuration is not", () => {
  requireNoOwnBackend("/a", {});
  const first = loopGuard("/a", { HOME: "/h" });
  assert.throws(() => requireNoOwnBackend("/a", first), isOwn);
  requireNoOwnBackend("/b", first);
  const second = loopGuard("/b", first);
  for (const path of ["/a", "/b"]) assert.throws(() => requireNoOwnBackend(path, second), isOwn);
  requireNoOwnBackend("/c", second);
});

test("text that another program put there is not a lineage", () => {
  for (const text of ["", "1", "[1]", "nonsense"]) requireNoOwnBackend("/a", { MOUNTAINEER_WITHIN: text });
});
