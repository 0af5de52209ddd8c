// The doctor names the cause: each of these is really brought about, and the command run as a process.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { chmod, chown, mkdir, readdir, readFile, stat, symlink, truncate, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import type { DoctorReport, SelfTestReport } from "../../../src/api/doctor-report.ts";
import { startPlainRig } from "../../../src/demo/stage/plain-rig.ts";
import { missingForSmb } from "../../../src/demo/stage/smb-available.ts";
import { installedProgram } from "../../../src/mount-program/mount-program.ts";
import { processIdentity } from "../../../src/runtime/process/process-identity.ts";
import { whyClosed } from "../../../src/shares/drivers/fuse.ts";
import { ends } from "../../support/ends.ts";
import { eventually } from "../../support/eventually.ts";
import { createNetworkNamespace, namespacesUnavailable } from "../../support/network-namespace.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { mountTmpfs } from "../../support/tiny-disk.ts";
import { programMissing } from "../../sync/programs.ts";
import { COMMAND, environmentOf, runCommand } from "../command-line.ts";
import { causeOf, examined } from "./doctor-reports.ts";

const run = promisify(execFile);

test("an empty home is healthy, in words and as JSON, and nothing is created in it", async (t) => {
  const home = join(await temporaryFolder(t), "home");
  await mkdir(home, { mode: 0o700 });
  const { code, stdout, stderr } = await runCommand(["doctor"], { home });
  assert.deepEqual([code, stderr], [0, ""]);
  assert.match(
    stdout,
    /no configuration at[\s\S]*mountaineer init[\s\S]*no daemon runs[\s\S]*\nnothing is configured yet; all checks passed\n$/,
  );
  const report = await examined(home);
  assert.deepEqual(Object.keys(report), ["ok", "version", "findings"]);
  assert.equal(report.ok, true);
  for (const finding of report.findings)
    assert.deepEqual(Object.keys(finding), ["area", "severity", "code", "subject", "text", "hint"]);
  assert.deepEqual(await readdir(home), []);
  const absent = await examined(join(home, "not", "there"));
  assert.equal(causeOf(absent, "home_absent").severity, "info");
});

test("a broken configuration: every error with its position", async (t) => {
  const home = await temporaryFolder(t);
  await chmod(home, 0o700);
  await writeFile(join(home, "config.toml"), "[global]\nauto_failbak = true\nmount_hang_secs = -1\n");
  const { code, stdout } = await runCommand(["doctor"], { home });
  assert.equal(code, 1);
  assert.match(stdout, /config\.toml:2:1[\s\S]*config\.toml:3:/);
  assert.match(stdout, /\[config_invalid\]/);
  await writeFile(join(home, "config.yaml"), "");
  causeOf(await examined(home), "config_ambiguous");
});

/** Gives the home a program that mounts, which is never started. */
async function haveProgram(home: string): Promise<void> {
  await mkdir(dirname(installedProgram(home)), { recursive: true });
  await symlink("/bin/true", installedProgram(home));
}

test("two hosts of one address, and a host without a listener", async (t) => {
  const home = await temporaryFolder(t);
  // A name is looked up by another process, which a busy machine starts late.
  const patience = "[global]\nconnect_timeout_ms = 20000\n";
  const config = `${patience}[[shares]]\nname = "CORE"\nthunderbolt_host = "localhost:1"\nfallback_host = "127.0.0.1:1"\n`;
  await writeFile(join(home, "config.toml"), config);
  await haveProgram(home);
  const report = await examined(home);
  assert.match(causeOf(report, "routes_same_address").text, /Both routes lead to 127\.0\.0\.1/);
  const skip = (await programMissing("fusermount3")) ?? (await whyClosed("/dev/fuse"))?.text ?? false;
  await t.test("so the share is not mounted", { skip }, () => {
    assert.match(causeOf(report, "not_mounted").text, /127\.0\.0\.1:1/);
  });
});

test("E5 a secret whose value is also a name is reported, without its value", async (t) => {
  const home = await temporaryFolder(t);
  await chmod(home, 0o700);
  const backend = (name: string, variable: string): string =>
    `[backends.${name}]\ncommand = "node"\nenv = { TOKEN = "\${${variable}}" }\n`;
  await writeFile(join(home, "config.toml"), `${backend("orchid", "SAME")}${backend("tulip", "OTHER")}`);
  const { findings } = await examined(home, { SAME: "Orchid", OTHER: "a long and different value" });
  const [found, ...rest] = findings.filter(({ code }) => code === "secret_is_name");
  assert.deepEqual(rest, []);
  assert.match(found?.text ?? "", /^server orchid \(env TOKEN\): the value of \$\{SAME\} is also the name/);
  assert.doesNotMatch(found?.text ?? "", /Orchid/);
});

const OF_THE_RIG = (await missingForSmb("/nowhere")) ?? false;

test("a wrong password, an unknown share, and the right login, tested at a real server", {
  skip: OF_THE_RIG,
}, async (t) => {
  const rig = await startPlainRig({ shares: ["RIGHT", "PASSWORD", "NONE", "EMPTY"] });
  t.after(() => rig[Symbol.asyncDispose]());
  const home = await temporaryFolder(t);
  await chmod(home, 0o700);
  const share = (name: string, more: string): string => `[[shares]]
name = "${name}"
thunderbolt_host = "${rig.tbHost}:${rig.tbPort}"
fallback_host = "${rig.fallbackHost}:${rig.fallbackPort}"
username = "${rig.username}"
${more}
`;
  const right = share("RIGHT", 'password = "${RIGHT}"');
  await writeFile(join(home, "config.toml"), right);
  const temporary = await temporaryFolder(t);
  const env = { RIGHT: rig.password, WRONG: "hidden word", EMPTY: "", TMPDIR: temporary };
  // A busy machine's server answers too late at times, which is another cause.
  const told = (holds: (report: DoctorReport) => void) =>
    eventually(async () => {
      holds(await examined(home, env));
      return true;
    }, 100_000);
  await told((well) => {
    assert.equal(well.ok, true, JSON.stringify(well.findings, null, 2));
    assert.match(causeOf(well, "credentials").text, /lets .* into RIGHT/);
  });
  const all = [
    right,
    share("PASSWORD", 'password = "${WRONG}"'),
    share("NONE", 'password = "secret:none"'),
    share("EMPTY", 'password = "${EMPTY}"'),
    share("NOPE", 'password = "${RIGHT}"'),
  ];
  await writeFile(join(home, "config.toml"), all.join(""));
  // What a server has besides is left out where its answer is late.
  await told((report) => {
    const wrong = report.findings.filter(
      ({ area, severity }) => area === "credentials" && severity === "error",
    );
    assert.deepEqual(
      wrong.map(({ subject, code }) => `${subject} ${code}`).sort(),
      ["EMPTY secret_empty", "NOPE no_such_share", "PASSWORD login_refused"],
      JSON.stringify(report),
    );
    assert.equal(causeOf(report, "secret_missing").subject, "NONE");
    assert.match(causeOf(report, "login_refused").hint ?? "", /\$\{WRONG\}/);
    assert.match(causeOf(report, "no_such_share").text, /has no share NOPE; it has .*RIGHT/);
    assert.doesNotMatch(JSON.stringify(report), /hidden word|secret word/);
  });
  assert.deepEqual(await readdir(temporary), [], "no file with a password is left");

  await writeFile(join(home, "config.toml"), right);
  await rig.cables.tb.setMode("hang");
  await rig.cables.fallback.setMode("refuse");
  await told((off) => {
    const { hint } = causeOf(off, "not_mounted");
    assert.match(hint ?? "", /preferred: .* does not answer: restart it; fallback: .* no SMB server listens/);
  });
});

test("a host that is off, a route over the wrong interface, and a missing interface", async (t) => {
  const unavailable = (await namespacesUnavailable()) ?? (await programMissing("ip", "nsenter"));
  if (unavailable !== null) return t.skip(unavailable);
  const namespace = await createNetworkNamespace(t);
  for (const [name, address] of [
    ["tb0", "10.99.1.1/24"],
    ["eth1", "10.99.2.1/24"],
  ] as const) {
    await namespace.ip("link", "add", name, "type", "veth", "peer", "name", `${name}p`);
    await namespace.ip("link", "set", `${name}p`, "up");
    await namespace.ip("address", "add", address, "dev", name);
    await namespace.ip("link", "set", name, "up");
  }
  const home = await temporaryFolder(t);
  const share = (name: string, tb: string): string =>
    `[[shares]]\nname = "${name}"\nthunderbolt_host = "10.99.1.2"\n${tb}fallback_host = "10.99.2.2"\n`;
  const shares = [
    share("CORE", ""),
    share("OTHER", 'thunderbolt_interface = "eth1"\n'),
    share("NONE", 'thunderbolt_interface = "bridge0"\n'),
  ];
  await writeFile(join(home, "config.toml"), shares.join(""));
  await haveProgram(home);
  const inside = async (): Promise<DoctorReport> => {
    const child = namespace.spawn("env", [
      ...Object.entries(environmentOf({ home, env: {} })).map(([key, value]) => `${key}=${value}`),
      ...COMMAND,
      "doctor",
      "--json",
    ]);
    let stdout = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      stdout += chunk;
    });
    await once(child, "close");
    return JSON.parse(stdout);
  };
  const wrongWays = ({ findings }: DoctorReport) =>
    findings.filter(({ code }) => code === "route_wrong_interface").map(({ text }) => text);
  const off = await inside();
  const silent = off.findings.filter(({ code }) => code === "not_mounted").map(({ text }) => text);
  assert.match(silent.join("\n"), /10\.99\.1\.2[\s\S]*bridge0/);
  assert.match(wrongWays(off).join("\n"), /not over eth1/);
  assert.doesNotMatch(wrongWays(off).join("\n"), /not over tb0/);
  await namespace.ip("route", "add", "10.99.1.2/32", "dev", "eth1");
  assert.match(wrongWays(await inside()).join("\n"), /10\.99\.1\.2.*over eth1, not over tb0/);
});

test("FUSE missing: by its program, and by its device", async (t) => {
  const home = await temporaryFolder(t);
  const config = `[[shares]]\nname = "CORE"\nthunderbolt_host = "127.0.0.2:1"\nfallback_host = "127.0.0.3:1"\n`;
  await writeFile(join(home, "config.toml"), config);
  await haveProgram(home);
  const programs = await temporaryFolder(t);
  const report = await examined(home, { PATH: programs });
  assert.match(causeOf(report, "driver_unavailable").text, /fusermount3 is not installed/);
  const missing = await programMissing("unshare", "setpriv", "mount");
  if (missing !== null || process.getuid?.() !== 0) return t.skip(missing ?? "needs root, for the device");
  await symlink("/bin/true", join(programs, "fusermount3"));
  const closed = join(programs, "closed");
  await writeFile(closed, "", { mode: 0o600 });
  const script = `mount --bind ${closed} /dev/fuse && exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@"`;
  const theirs = await temporaryFolder(t);
  await chmod(theirs, 0o777);
  await chmod(programs, 0o755);
  await haveProgram(theirs);
  await writeFile(join(theirs, "config.toml"), config, { mode: 0o644 });
  const env = environmentOf({ home: theirs, env: { PATH: `${programs}:/usr/bin:/bin` } });
  const ended = await run("unshare", ["-m", "sh", "-c", script, "sh", ...COMMAND, "doctor", "--json"], {
    env,
  }).catch((error: { stdout: string; stderr: string }) => error);
  if (/Operation not permitted/.test(ended.stderr))
    return t.skip(`needs the right to mount: ${ended.stderr.trim()}`);
  assert.match(causeOf(JSON.parse(ended.stdout), "driver_unavailable").text, /\/dev\/fuse is there/);
});

test("no permission: another user's home", async (t) => {
  const missing = await programMissing("setpriv");
  if (missing !== null || process.getuid?.() !== 0)
    return t.skip(missing ?? "needs root, to be another user");
  const folder = await temporaryFolder(t);
  await chmod(folder, 0o755);
  const home = join(folder, "home");
  await mkdir(home, { mode: 0o700 });
  await writeFile(join(home, "config.toml"), "");
  const ended = await run(
    "setpriv",
    ["--reuid=65534", "--regid=65534", "--clear-groups", ...COMMAND, "doctor", "--json"],
    { env: environmentOf({ home }) },
  ).catch((error: { stdout: string; stderr: string }) => error);
  const report: DoctorReport = JSON.parse(ended.stdout);
  assert.equal(causeOf(report, "home_of_another").hint?.startsWith("run this as its owner"), true);
  assert.match(causeOf(report, "home_denied").text, /EACCES|permission denied/);
  assert.equal(report.ok, false);
});

test("root's files in a user's home are named, each with the command that repairs it, and the daemon refers to it", async (t) => {
  const missing = await programMissing("setpriv");
  if (missing !== null || process.getuid?.() !== 0)
    return t.skip(missing ?? "needs root, to be another user");
  const folder = await temporaryFolder(t);
  const home = join(folder, "home");
  await mkdir(join(home, "history"), { recursive: true, mode: 0o700 });
  const entry = join("history", "0000000001-01234567.entry");
  const ours = ["lock.db", "state.json", "secrets.json", "approvals.sealed", "numbers.log", entry];
  for (const name of ours) await writeFile(join(home, name), "{}", { mode: 0o600 });
  await writeFile(join(home, "config.toml"), "", { mode: 0o644 });
  for (const path of [folder, home, join(home, "history")]) await chown(path, 65_534, 65_534);
  const user = { home, within: ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] };
  const { findings }: DoctorReport = JSON.parse((await runCommand(["doctor", "--json"], user)).stdout);
  const denied = findings.filter(({ code }) => code === "home_denied");
  assert.deepEqual(
    new Set(denied.map(({ hint }) => hint)),
    new Set(ours.map((name) => `sudo chown -R 65534 ${join(home, name)}`)),
  );
  await ends(runCommand(["monitor"], user), 6, null, /permission denied.*lock\.db.*\n.*mountaineer doctor/);
});

test("a full disk", async (t) => {
  const disk = await mountTmpfs(t, "size=4m,mode=0700");
  if (disk === null) return;
  await writeFile(join(disk, "config.toml"), "");
  await truncate(join(disk, "config.toml"), 0);
  causeOf(await examined(disk), "disk_low");
  await writeFile(join(disk, "rest"), Buffer.alloc(3.8 * 1024 * 1024));
  const full = causeOf(await examined(disk), "disk_full");
  assert.equal(full.severity, "error");
  assert.match(full.text, /kB are free/);
  await writeFile(join(disk, "all"), Buffer.alloc(1024 * 1024)).catch(() => {});
  const { code, stderr } = await runCommand(["doctor", "--report", join(disk, "report.md")], { home: disk });
  assert.deepEqual([code, /report\.md cannot be written: ENOSPC/.test(stderr)], [1, true], stderr);
  assert.equal((await readdir(disk)).includes("report.md"), false);
});

test("the gateway: a missing program, a missing folder, a variable, and a port that is taken", async (t) => {
  const home = await temporaryFolder(t);
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  const config = `[server]
port = ${address.port}
[backends.a]
command = "no-such-program"
env = { T = "\${NOT_SET}", S = "secret:none" }
[backends.b]
command = "sh"
cwd = "/no/such/folder"
[backends.off]
command = "no-such-program-either"
enabled = false
`;
  await writeFile(join(home, "config.toml"), config);
  const report = await examined(home);
  assert.match(causeOf(report, "port_taken").text, new RegExp(`pid ${process.pid}`));
  assert.match(causeOf(report, "backend_program").text, /no-such-program is not found/);
  assert.match(causeOf(report, "backend_folder").text, /\/no\/such\/folder/);
  assert.match(causeOf(report, "secret_missing").text, /NOT_SET; .*none/);
  assert.doesNotMatch(JSON.stringify(report), /either/);
});

test("the self-test passes here, mounts nothing and leaves nothing", async (t) => {
  const home = await temporaryFolder(t);
  const temporary = await temporaryFolder(t);
  const { code, stdout, stderr } = await runCommand(["doctor", "--self-test", "--json"], {
    home,
    env: { TMPDIR: temporary },
  });
  const report: SelfTestReport = JSON.parse(stdout);
  const failed = report.results.filter(({ passed }) => passed === false);
  // What a machine lacks is no fault of an adapter; a chroot has no mount at its root.
  const mounts = await readFile("/proc/self/mountinfo", "utf8").catch(() => " / / ");
  const excused = [
    ...((await missingForSmb("/nowhere")) === null ? [] : ["a way to mount SMB"]),
    ...((await programMissing("ip")) === null ? [] : ["routes"]),
    ...(mounts.includes(" / / ") ? [] : ["table of mounts"]),
  ];
  assert.deepEqual(
    failed.filter(({ adapter }) => !excused.includes(adapter)),
    [],
  );
  assert.equal(code, failed.length === 0 ? 0 : 1, stderr);
  assert.ok(report.results.length >= 15);
  // Programs of others keep a cache of their own in a home.
  assert.deepEqual(
    (await readdir(home)).filter((name) => !name.startsWith(".")),
    [],
  );
  assert.deepEqual(await readdir(temporary), []);
});

test("a starting daemon is given 15 s, and a command that locks the home is named", async (t) => {
  const home = await temporaryFolder(t);
  const own = await processIdentity(process.pid);
  const codeOf = async (command: string, heldForMs: number): Promise<string | undefined> => {
    const since = new Date(Date.now() - heldForMs).toISOString();
    await writeFile(join(home, "lock.json"), JSON.stringify({ ...own, command, since, home }));
    return (await examined(home)).findings.find(({ area }) => area === "daemon")?.code;
  };
  assert.equal(await codeOf("monitor", 1_000), "daemon_starting");
  assert.equal(await codeOf("monitor", 60_000), "daemon_silent");
  assert.equal(await codeOf("mount", 60_000), "lock_held");
});

test("a report has no secret, no name and no address, and overwrites nothing", async (t) => {
  const home = await temporaryFolder(t);
  await writeFile(
    join(home, "config.toml"),
    `[[shares]]\nname = "CORE"\nthunderbolt_host = "127.0.0.2:1"\nfallback_host = "nas-of-ann.invalid"\nusername = "annabel"\npassword = "\${PASSWORD}"\n[backends.a]\ncommand = "sh"\nenv = { KEY = "literal word", SHORT = "wro" }\n`,
  );
  await writeFile(
    join(home, "mountaineer.log"),
    `{"message": "${"x".repeat(70_000)} too long"}\n{"message": "somebody wrote hidden word from 192.168.7.7"}\n{"message": "unused word"}\n{"message": "postgres://pg:fromAServer1@db Bearer fromAServer2 ?api_key=fromAServer3"}\n`,
  );
  const unused = { version: 1, secrets: { spare: { kept: "file", value: "unused word" } } };
  await writeFile(join(home, "secrets.json"), JSON.stringify(unused), { mode: 0o600 });
  const file = join(home, "report.md");
  const options = { home, env: { PASSWORD: "hidden word" } };
  const { code, stdout, stderr } = await runCommand(["doctor", "--report", file], options);
  assert.deepEqual([code, stdout], [0, `✓ ${file}\n`]);
  assert.match(stderr, /read it before you attach it/);
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  const text = await readFile(file, "utf8");
  assert.doesNotMatch(
    text,
    /hidden word|literal word|nas-of-ann|annabel|192\.168|too long|unused word|fromAServer/,
  );
  assert.match(
    text,
    /## findings[\s\S]*(?:not_mounted|driver_unavailable)[\s\S]*## configuration[\s\S]*\$\{PASSWORD\}[\s\S]*somebody wrote \[redacted\]/,
  );
  await ends(runCommand(["doctor", "--report", file], options), 1, null, /cannot be written/);
  const named = await runCommand(
    ["doctor", "--report", join(home, "named.md"), "--with-names", "--json"],
    options,
  );
  assert.deepEqual(JSON.parse(named.stdout), { path: join(home, "named.md") });
  const withNames = await readFile(join(home, "named.md"), "utf8");
  assert.match(withNames, /annabel/);
  assert.doesNotMatch(withNames, /hidden word|literal word/);
  await ends(runCommand(["doctor", "--self-test", "--report", "x"], options), 2);
});
