import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { access, chmod, mkdir, readFile, readlink, rm, stat, symlink, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { delimiter, dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import {
  type ServiceDefinition,
  serviceDefinition,
  servicePath,
} from "../../../src/cli/service/service-definition.ts";
import { createServiceManager } from "../../../src/cli/service/service-manager.ts";
import { agentText } from "../../../src/cli/service/service-manager-darwin.ts";
import { unitText } from "../../../src/cli/service/service-manager-linux.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { startRig } from "../../api/management-rig.ts";
import { sampleReport, sampleResult, sampleShare, scriptedControl } from "../../api/sample-report.ts";
import { collect } from "../../support/collect.ts";
import { ends } from "../../support/ends.ts";
import { eventually } from "../../support/eventually.ts";
import { pluck } from "../../support/pluck.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { programMissing } from "../../sync/programs.ts";
import { runCommand } from "../command-line.ts";

const run = promisify(execFile);
const NEVER = new AbortController().signal;
const HOSTILE = `/tmp/a b%n$HOME "q" 'p' \\x <&> ü`;

function definitionOf(userHome: string, more: Partial<ServiceDefinition> = {}): ServiceDefinition {
  return {
    name: "mountaineer",
    userHome,
    home: join(userHome, ".mountaineer"),
    program: "/opt/mountaineer/bin/mountaineer",
    args: ["monitor"],
    environment: { PATH: "/usr/bin:/bin" },
    ...more,
  };
}

test("F3 the service gets the targets of a shell's temporary folder of links, and no folder that disappears with the shell", async (t) => {
  const home = await temporaryFolder(t);
  const [runtime, lasting] = [join(home, "run"), join(home, ".local/share/fnm/v24/bin")];
  await mkdir(join(runtime, "fnm_multishells"), { recursive: true });
  await mkdir(lasting, { recursive: true });
  await symlink(dirname(lasting), join(runtime, "fnm_multishells/12_34"));
  const environment = { HOME: home, XDG_RUNTIME_DIR: runtime, VIRTUAL_ENV: "/srv/app/.venv" };
  const passing = [
    "/srv/app/.venv/bin",
    "/nix/store/b0gv7f418f1x1xhxmm3drbcv73i8axpn-node-24/bin",
    "/home/ann/.npm/_npx/9833c18b/node_modules/tool/bin",
    "/run/user/1000/tool/bin",
    `${runtime}/gone/bin`,
  ];
  const path = [`${runtime}/fnm_multishells/12_34/bin`, ...passing, "/usr/bin"].join(":");
  assert.deepEqual(servicePath(path, environment), { path: `${lasting}:/usr/bin`, left: passing });
});

test("the service has the shell's PATH without the project's own folders, its proxies without passwords, and the home if it is not the usual one", () => {
  assert.equal(
    servicePath("/usr/bin:./x::bin:/a/node_modules/.bin:/usr/bin:/opt/my tools").path,
    "/usr/bin:/opt/my tools",
  );
  assert.equal(servicePath("").path, "/usr/local/bin:/usr/bin:/bin");
  const usual = serviceDefinition(
    { home: "/home/ann/.mountaineer", configPath: null },
    { HOME: "/home/ann", PATH: "/bin", SECRET: "word" },
  );
  assert.deepEqual(
    [usual.name, usual.args, usual.environment],
    ["mountaineer", ["monitor"], { PATH: "/bin" }],
  );
  const proxied = serviceDefinition(
    { home: "/home/ann/.mountaineer", configPath: null },
    {
      ...{
        HOME: "/home/ann",
        PATH: "/bin",
        https_proxy: "http://proxy:3128",
        NO_PROXY: ".corp",
        no_proxy: "",
      },
      ...{
        HTTP_PROXY: "http://ann:s3cret@proxy:3128",
        NODE_EXTRA_CA_CERTS: "/etc/corp.pem",
        HTTPS_PROXY: "a\nb",
      },
    },
  );
  assert.deepEqual(proxied.environment, {
    ...{ PATH: "/bin", NO_PROXY: ".corp", https_proxy: "http://proxy:3128" },
    NODE_EXTRA_CA_CERTS: "/etc/corp.pem",
  });
  const other = serviceDefinition(
    { home: "/srv/m", configPath: "/srv/c.yaml" },
    { HOME: "/home/ann", PATH: "/bin" },
  );
  assert.match(other.name, /^mountaineer-[0-9a-f]{8}$/);
  assert.deepEqual(other.args, ["--config", "/srv/c.yaml", "monitor"]);
  assert.deepEqual(other.environment, { PATH: "/bin", MOUNTAINEER_HOME: "/srv/m" });
});

test("systemd accepts the unit, whatever paths are in it", async (t) => {
  const missing = await programMissing("systemd-analyze");
  if (missing !== null) return t.skip(missing);
  const folder = await temporaryFolder(t);
  const bin = join(folder, "b %n $HOME 'q' \\x ü");
  await mkdir(bin);
  const program = join(bin, "mountaineer");
  await writeFile(program, "#!/bin/sh\n");
  await chmod(program, 0o755);
  const runtime = join(folder, "run");
  await mkdir(runtime, { mode: 0o700 });
  const units = [
    unitText(definitionOf(folder, { program })),
    unitText(
      definitionOf(folder, {
        program,
        home: HOSTILE,
        args: ["--config", `${HOSTILE}.toml`, "monitor"],
        environment: { PATH: `${HOSTILE}:/bin`, MOUNTAINEER_HOME: HOSTILE },
      }),
    ),
  ];
  for (const text of units) {
    const path = join(folder, "mountaineer.service");
    await writeFile(path, text);
    const { PATH } = process.env;
    // Rejects unless it ends with 0; what it merely does not like it writes.
    const { stdout, stderr } = await run("systemd-analyze", ["--user", "verify", path], {
      env: { PATH, HOME: folder, XDG_RUNTIME_DIR: runtime },
    });
    assert.equal(`${stdout}${stderr}`.replace(/^.*(fd limit|Attaching).*\n/gm, ""), "");
  }
});

test("the unit lets mounts outlive it, hands over when it is reloaded, and escapes specifiers and quotes", () => {
  const text = unitText(
    definitionOf("/home/ann", {
      program: `/o p%t/"x"/mountaineer`,
      args: ["--config", "/c$HOME%h.toml", "monitor"],
      environment: { PATH: "/a\\b:/c d" },
    }),
  );
  for (const line of [
    'ConditionPathExists=/o p%%t/"x"/mountaineer',
    "KillMode=process",
    "Restart=on-failure",
    'ExecReload=/bin/sh "/o p%%t/\\"x\\"/mountaineer" "restart"',
    'ExecStart="/bin/sh" "/o p%%t/\\"x\\"/service-keeper.sh" "/o p%%t/\\"x\\"/mountaineer" "--config" "/c$$HOME%%h.toml" "monitor"',
    'Environment="PATH=/a\\\\b:/c d"',
    "WantedBy=default.target",
  ])
    assert.ok(text.split("\n").includes(line), line);
});

test("a property-list parser reads the agent as intended, whatever paths are in it", async (t) => {
  const missing = await programMissing("python3");
  if (missing !== null) return t.skip(missing);
  const definition = definitionOf("/Users/ann", {
    program: `${HOSTILE}/mountaineer`,
    args: ["--config", HOSTILE, "monitor"],
    environment: { PATH: `${HOSTILE}:/bin`, MOUNTAINEER_HOME: HOSTILE },
  });
  const path = join(await temporaryFolder(t), "agent.plist");
  await writeFile(path, agentText(definition, "io.github.mountaineer", "/Users/ann/Library/Logs/m.log"));
  const { stdout } = await run("python3", [
    "-c",
    "import json, plistlib, sys; print(json.dumps(plistlib.load(open(sys.argv[1], 'rb'))))",
    path,
  ]);
  assert.deepEqual(JSON.parse(stdout), {
    Label: "io.github.mountaineer",
    Program: `${HOSTILE}/service-keeper.sh`,
    ProgramArguments: [
      `${HOSTILE}/service-keeper.sh`,
      `${HOSTILE}/mountaineer`,
      "--config",
      HOSTILE,
      "monitor",
    ],
    EnvironmentVariables: { PATH: `${HOSTILE}:/bin`, MOUNTAINEER_HOME: HOSTILE },
    WorkingDirectory: "/",
    RunAtLoad: true,
    KeepAlive: { SuccessfulExit: false },
    AbandonProcessGroup: true,
    ExitTimeOut: 20,
    LimitLoadToSessionType: "Aqua",
    StandardOutPath: "/Users/ann/Library/Logs/m.log",
    StandardErrorPath: "/Users/ann/Library/Logs/m.log",
  });
  assert.throws(() => agentText(definitionOf("/Users/a\u0007"), "x\u0007", "/l"), { code: "usage" });
});

/**
 * A service manager that keeps what it is told in a folder: `calls`, and a file `active` while it runs the service;
 * `waiting` while it will start it again; `clings`: it cannot be ended.
 */
const SYSTEMCTL = `
printf '%s\\n' "$*" >>"$folder/calls"
[ -e "$folder/absent" ] && { echo "Failed to connect to bus: No medium found" >&2; exit 1; }
case "$2" in
  is-active) [ -e "$folder/active" ] ;;
  show) if [ -e "$folder/waiting" ]; then echo activating; elif [ -e "$folder/active" ]; then echo active; else echo inactive; fi ;;
  stop) rm -f "$folder/active" "$folder/waiting" ;;
  enable | restart) [ -e "$folder/broken" ] && { echo "Job failed. See logs." >&2; exit 1; }; touch "$folder/active" ;;
  disable) [ -e "$folder/clings" ] || rm -f "$folder/active"; [ ! -e "$folder/broken" ] ;;
  cat) [ -e "$folder/active" ] ;;
esac
`;
const LAUNCHCTL = `
printf '%s\\n' "$*" >>"$folder/calls"
case "$1" in
  print)
    [ -e "$folder/absent" ] && exit 113
    case "$2" in gui/*/*) ;; *) exit 0 ;; esac
    # A bootout takes a moment.
    [ -e "$folder/leaving" ] && { rm "$folder/leaving" "$folder/active"; exit 0; }
    [ -e "$folder/active" ] || exit 113 ;;
  bootout) [ -e "$folder/active" ] || exit 3; touch "$folder/leaving" ;;
  bootstrap)
    [ -e "$folder/progress" ] && { rm "$folder/progress"; echo "Bootstrap failed: 37: Operation already in progress" >&2; exit 37; }
    [ -e "$folder/broken" ] && { echo "Bootstrap failed: 78: Function not implemented" >&2; exit 78; }
    touch "$folder/active" ;;
esac
`;

async function scene(t: TestContext, platform: "linux" | "darwin") {
  const folder = await temporaryFolder(t);
  const bin = join(folder, "bin");
  await mkdir(bin);
  const [name, script] = platform === "linux" ? ["systemctl", SYSTEMCTL] : ["launchctl", LAUNCHCTL];
  await writeFile(join(bin, name), `#!/bin/sh\nfolder='${folder}'\n${script}`);
  await chmod(join(bin, name), 0o755);
  const { PATH } = process.env;
  process.env["PATH"] = [bin, PATH].join(delimiter);
  t.after(() => {
    process.env["PATH"] = PATH;
  });
  return {
    folder,
    manager: (more?: Partial<ServiceDefinition>) =>
      createServiceManager(
        { definition: definitionOf(folder, more), clock: systemClock, environment: {} },
        platform,
      ),
    /** What was asked of the service manager since the last time. */
    async calls() {
      const text = await readFile(join(folder, "calls"), "utf8").catch(() => "");
      await rm(join(folder, "calls"), { force: true });
      return text.split("\n").filter((line) => line !== "");
    },
    mark: (mark: string, there: boolean = true) =>
      there ? writeFile(join(folder, mark), "") : rm(join(folder, mark), { force: true }),
  };
}

for (const platform of ["linux", "darwin"] as const) {
  test(`${platform}: a start starts, the next changes nothing, a changed one restarts, a stop leaves the file, and it can be removed twice`, async (t) => {
    const { manager, calls, folder } = await scene(t, platform);
    const first = await manager().start(NEVER);
    assert.deepEqual([first.changed, first.running, first.failure], [true, true, null]);
    const { filePath, text } = manager();
    assert.equal(await readFile(filePath, "utf8"), text);
    assert.equal((await stat(filePath)).mode & 0o777, 0o644);
    assert.ok(filePath.startsWith(folder));
    await calls();
    const again = await manager().start(NEVER);
    assert.deepEqual([again.changed, again.running, again.failure], [false, true, null]);
    assert.ok((await calls()).every((call) => !/restart|bootout|bootstrap/.test(call)));
    const other = manager({ environment: { PATH: "/elsewhere" } });
    const changed = await other.start(NEVER);
    assert.deepEqual([changed.changed, changed.running, changed.failure], [true, true, null]);
    assert.match(
      (await calls()).join("\n"),
      platform === "linux" ? /daemon-reload[\s\S]*restart/ : /bootout[\s\S]*bootstrap/,
    );
    for (const wasRunning of [true, false]) {
      const stopped = await manager().stop(NEVER);
      assert.deepEqual([stopped.changed, stopped.running, stopped.failure], [wasRunning, false, null]);
    }
    assert.equal(await readFile(filePath, "utf8"), other.text);
    assert.equal((await manager().start(NEVER)).running, true);
    await calls();
    const removed = await manager().uninstall(NEVER);
    assert.deepEqual([removed.changed, removed.running, removed.failure], [true, false, null]);
    await assert.rejects(stat(filePath));
    const reloads = async () => (await calls()).filter((call) => call.includes("daemon-reload")).length;
    assert.equal(await reloads(), platform === "linux" ? 1 : 0, "systemd forgets what is gone");
    const twice = await manager().uninstall(NEVER);
    assert.deepEqual([twice.changed, twice.running, twice.failure], [false, false, null]);
    assert.equal(await reloads(), 0);
  });

  test(`${platform}: without a manager it says so, and a file is removed all the same; a failure is reported`, async (t) => {
    const { manager, mark, calls } = await scene(t, platform);
    await manager().start(NEVER);
    await mark("absent");
    assert.match(
      (await manager().missing(NEVER)) ?? "",
      platform === "linux" ? /no user manager of systemd answers .*No medium found/ : /no desktop session/,
    );
    assert.equal((await manager().stop(NEVER)).changed, false);
    await calls();
    const removed = await manager().uninstall(NEVER);
    assert.deepEqual([removed.changed, removed.failure], [true, null]);
    assert.doesNotMatch((await calls()).join("\n"), /daemon-reload/, "nobody is there to be told");
    await mark("absent", false);
    await mark("broken");
    const failed = await manager().start(NEVER);
    assert.equal(failed.running, false);
    assert.match(failed.failure ?? "", platform === "linux" ? /Job failed/ : /78/);
  });
}

test("linux: a stop also ends a service that systemd is about to restart, as it ended with an error", async (t) => {
  const { manager, mark, calls } = await scene(t, "linux");
  await mark("waiting");
  const stopped = await manager().stop(NEVER);
  assert.deepEqual([stopped.changed, stopped.running, stopped.failure], [true, false, null]);
  assert.ok((await calls()).includes("--user stop mountaineer.service"));
});

test("linux: a service that cannot be ended keeps its file; one that has ended anyway does not", async (t) => {
  const { manager, mark } = await scene(t, "linux");
  const { filePath } = manager();
  await manager().start(NEVER);
  await mark("broken");
  for (const clings of [true, false]) {
    await mark("clings", clings);
    const { changed, running, failure } = await manager().uninstall(NEVER);
    assert.deepEqual([changed, running], [!clings, clings]);
    assert.match(failure ?? "", /disable --now/);
    assert.equal(
      await access(filePath).then(
        () => true,
        () => false,
      ),
      clings,
    );
  }
});

test("darwin: a bootstrap while the old agent is still ending is tried again", async (t) => {
  const { manager, mark, calls } = await scene(t, "darwin");
  await mark("progress");
  assert.equal((await manager().start(NEVER)).running, true);
  assert.equal((await calls()).filter((call) => call.startsWith("bootstrap")).length, 2);
});

test("darwin: a refused bootstrap points to the login items, by the displayed name, which is a program that runs", async (t) => {
  const { manager, mark } = await scene(t, "darwin");
  const shown = /Login Items.*service-keeper\.sh|service-keeper\.sh.*Login Items/;
  assert.match((await manager().start(NEVER)).notes.join("\n"), shown);
  await manager().stop(NEVER);
  await mark("broken");
  assert.match((await manager().start(NEVER)).failure ?? "", shown);
  const keeper = join(import.meta.dirname, "../../../bin/service-keeper.sh");
  assert.equal((await stat(keeper)).mode & 0o111, 0o111);
  assert.match(await readFile(keeper, "utf8"), /^#!\/bin\/sh\n/);
});

test("up prints the service's file, which uninstall removes where there is no manager", async (t) => {
  if (process.platform !== "linux") return t.skip("the paths are Linux's");
  const folder = await temporaryFolder(t);
  const home = join(folder, ".mountaineer");
  // No user manager can be found without a runtime folder.
  const options = { home, env: { HOME: folder } };
  const printed = await runCommand(["up", "--print"], options);
  assert.deepEqual([printed.code, printed.stderr], [0, ""]);
  assert.match(
    printed.stdout,
    /^ExecStart="\/bin\/sh" "\/.*\/bin\/service-keeper.sh" "\/.*\/bin\/mountaineer" "monitor"$/m,
  );
  assert.doesNotMatch(printed.stdout, /MOUNTAINEER_HOME/);
  const path = join(folder, ".config/systemd/user/mountaineer.service");
  await assert.rejects(stat(path));
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, printed.stdout);
  const removed = await runCommand(["uninstall"], options);
  assert.match(removed.stdout, /is removed/);
  assert.match(removed.stderr, /stay: mountaineer uninstall --purge also removes them/);
  assert.match((await runCommand(["uninstall"], options)).stdout, /was not there/);
  const other = await runCommand(["up", "--print"], {
    home: join(folder, "other"),
    env: { HOME: folder },
  });
  assert.match(other.stdout, /^Environment="MOUNTAINEER_HOME=.*other"$/m);
});

test("without a service manager up starts its own daemon, which can hand over, and down ends it and leaves its mounts", async (t) => {
  if (process.platform !== "linux") return t.skip("on a Mac it is launchd's");
  const folder = await temporaryFolder(t);
  const home = join(folder, ".mountaineer");
  const options = { home, env: { HOME: folder } };
  for (const name of ["tb", "fallback"]) await mkdir(join(folder, name));
  await mkdir(home, { mode: 0o700 });
  await writeFile(
    join(home, "config.toml"),
    `[[shares]]\nname = "CORE"\ndriver = "local"\nthunderbolt_path = "${join(folder, "tb")}"\nfallback_path = "${join(folder, "fallback")}"\n`,
  );
  t.after(() => runCommand(["down"], options));
  const up = await runCommand(["up"], options);
  assert.equal(up.code, 0, up.stderr);
  assert.match(
    up.stdout,
    /^✓ Mountaineer runs \(pid \d+\)\n[\s\S]*● CORE {2}mounted over the preferred route/,
  );
  assert.match(up.stdout, /\nnext: mountaineer open .*\n {6}mountaineer down stops it/);
  assert.match(up.stderr, /no user manager of systemd answers here .*until this machine stops/);
  const again = JSON.parse((await runCommand(["up", "--json"], options)).stdout);
  assert.deepEqual(Object.keys(again), [
    "manager",
    "path",
    "changed",
    "running",
    "notes",
    "failure",
    "pid",
    "gateway",
  ]);
  assert.deepEqual([again.manager, again.changed, again.running], [null, false, true]);
  await ends(runCommand(["restart"], options), 0);
  const down = await runCommand(["down"], options);
  assert.equal(down.code, 0, down.stderr);
  assert.match(down.stdout, /✓ Mountaineer is stopped\n✓ 1 share stays mounted: .*Shares\/CORE\n/);
  assert.match(down.stderr, /mountaineer up starts it again$/m);
  await ends(runCommand(["status"], options), 0, /no daemon runs[\s\S]*mounted over the preferred route/);
  await ends(runCommand(["down"], options), 0, "✓ no daemon ran for this home\n");
  assert.equal((await runCommand(["up"], options)).code, 0);
  const removed = await runCommand(["uninstall"], options);
  assert.match(removed.stdout, /service was not there\n✓ Mountaineer is stopped\n✓ shares stay mounted\n$/);
  assert.match((await runCommand(["status"], options)).stdout, /no daemon runs/);
  // What a client's folder has become keeps nothing from going.
  await mkdir(join(folder, ".cursor"));
  await ends(runCommand(["connect", "cursor", "--yes"], options), 0);
  await rm(join(folder, ".cursor"), { recursive: true });
  assert.equal((await runCommand(["up"], options)).code, 0);
  const purged = await runCommand(["uninstall", "--purge", "--yes"], options);
  assert.equal(purged.code, 0, purged.stderr);
  assert.match(purged.stdout, /Mountaineer is stopped/);
  assert.match(purged.stderr, /Cursor is left as it is: Cursor has no folder at /);
  assert.match(purged.stdout, /Mountaineer has left this machine/);
  assert.doesNotMatch(purged.stdout, /stays mounted/);
  await assert.rejects(stat(home), { code: "ENOENT" });

  const other = { home: join(folder, "other"), env: { HOME: folder } };
  await mkdir(other.home);
  const asked = await runCommand(["uninstall", "--purge"], other);
  assert.match(
    asked.stdout,
    /configuration and secrets; \S+other is not the usual home, so what else is in it stays\./,
  );
  assert.equal((await runCommand(["uninstall", "--purge", "--yes"], other)).code, 0);
  await assert.rejects(stat(other.home), { code: "ENOENT" });
});

test("E1 up says that the gateway cannot listen at a busy port, and exits with 1; the daemon stays", async (t) => {
  if (process.platform !== "linux") return t.skip("on a Mac it is launchd's");
  const folder = await temporaryFolder(t);
  const options = { home: join(folder, ".mountaineer"), env: { HOME: folder } };
  const other = createServer().listen(0, "127.0.0.1");
  await once(other, "listening");
  t.after(() => other.close());
  const { port } = other.address() as AddressInfo;
  await mkdir(options.home, { mode: 0o700 });
  await writeFile(join(options.home, "config.toml"), `[server]\nport = ${port}\n`);
  t.after(() => runCommand(["down"], options));
  const up = await runCommand(["up"], options);
  assert.equal(up.code, 1, up.stderr);
  assert.match(up.stdout, new RegExp(`^✗ .*cannot listen at 127\\.0\\.0\\.1:${port}`, "m"));
  const { pid, gateway, failure } = JSON.parse((await runCommand(["up", "--json"], options)).stdout);
  assert.deepEqual([gateway, failure.includes("cannot listen")], ["not_listening", true]);
  process.kill(pid, 0);
});

test("A9 logs and the report read the log that the daemon writes, whichever way its home is named", async (t) => {
  if (process.platform !== "linux") return t.skip("on a Mac it is launchd's");
  const folder = await temporaryFolder(t);
  const usual = join(folder, ".mountaineer");
  const link = join(folder, "link");
  await mkdir(usual, { mode: 0o700 });
  await symlink(usual, link);
  const named = (home: string) => ({ home: usual, env: { HOME: folder, MOUNTAINEER_HOME: home } });
  t.after(() => runCommand(["down"], named("")));
  for (const home of ["", usual, link]) {
    assert.equal((await runCommand(["up"], named(home))).code, 0);
    for (const other of ["", usual, link]) {
      const logs = await runCommand(["logs"], named(other));
      assert.match(logs.stdout, /\bRunning\b/, `${home} ${other}: ${logs.stderr}`);
      const report = join(folder, "report.md");
      await runCommand(["doctor", "--report", report], named(other));
      assert.match(await readFile(report, "utf8"), /"message":"running"/, `${home} ${other}`);
      await rm(report);
    }
    assert.equal((await runCommand(["down"], named(home))).code, 0);
    await rm(join(folder, ".local"), { recursive: true, force: true });
  }
});

test("a purge removes nothing if a file is set aside by the time the shares are unmounted", async (t) => {
  const home = await temporaryFolder(t);
  const aside = join(home, "mounts/CORE/set-aside");
  const link = { stable_path: join(home, "CORE"), mount_path: join(home, "volumes/CORE") };
  await symlink(link.mount_path, link.stable_path);
  const control = scriptedControl(sampleReport([sampleShare(link)]), async () => {
    await mkdir(aside, { recursive: true });
    await writeFile(join(aside, "a.txt"), "mine");
    return sampleResult({ result: "unmounted" });
  });
  await startRig(t, { home, control: { ...control, aliases: () => ({ aliases: [] }) } });
  const refused = await runCommand(["uninstall", "--purge", "--yes"], { home });
  assert.equal(refused.code, 7, refused.stdout);
  assert.match(refused.stderr, /a\.txt/);
  assert.match(refused.stderr, /nothing was removed/);
  assert.deepEqual(pluck(control.calls, "name"), ["unmount"]);
  assert.equal(await readlink(link.stable_path), link.mount_path);
});

test("down ends a monitor by one signal, however long its last step takes, and signals no other command", async (t) => {
  const sources = ["process/home-lock.ts", "time/clock.ts"].map((path) =>
    JSON.stringify(new URL(`../../../src/runtime/${path}`, import.meta.url).href),
  );
  for (const [command, said] of [
    ["monitor", "held\nsignal 1\n"],
    ["mount", "held\n"],
  ] as const) {
    const home = await temporaryFolder(t);
    const program = `const { acquireHomeLock } = await import(${sources[0]});
      const { systemClock: clock } = await import(${sources[1]});
      globalThis.lock = await acquireHomeLock(${JSON.stringify(home)}, { command: "${command}", waitMs: 0, clock });
      let signals = 0;
      process.on("SIGTERM", () => {
        console.log("signal", ++signals);
        setTimeout(() => process.exit(0), 500);
      });
      setInterval(() => {}, 60_000);
      console.log("held");`;
    const holder = spawn(process.execPath, ["--input-type=module", "-e", program]);
    t.after(() => holder.kill("SIGKILL"));
    const held = collect(holder);
    await eventually(() => held.stdout() === "held\n");
    await ends(runCommand(["down"], { home, env: { HOME: home } }), 0);
    if (command === "mount") holder.kill("SIGKILL");
    assert.equal((await held.ended).stdout, said);
  }
});

test("with a service manager up starts the service, and down stops it and leaves it for the next login", async (t) => {
  if (process.platform !== "linux") return t.skip("on a Mac it is launchd's");
  const { folder } = await scene(t, "linux");
  const launcher = join(import.meta.dirname, "../../../bin/mountaineer");
  await writeFile(
    join(folder, "bin/systemctl"),
    `#!/bin/sh
folder='${folder}'
case "$2" in
  is-active) kill -0 "$(cat "$folder/pid")" 2>/dev/null ;;
  show) if kill -0 "$(cat "$folder/pid")" 2>/dev/null; then echo active; else echo inactive; fi ;;
  enable) setsid '${launcher}' monitor >/dev/null 2>&1 </dev/null & echo $! >"$folder/pid" ;;
  stop) pid=$(cat "$folder/pid"); kill "$pid"; while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done ;;
esac
`,
  );
  const options = {
    home: join(folder, ".mountaineer"),
    env: {
      ...{ HOME: folder, PATH: process.env["PATH"] ?? "", NO_PROXY: ".corp" },
      ...{ HTTPS_PROXY: "http://ann:s3cret@proxy.corp:3128" },
    },
  };
  t.after(() => runCommand(["down"], options));
  await ends(
    runCommand(["up"], options),
    0,
    /^✓ .*mountaineer\.service is written\n✓ Mountaineer runs \(pid \d+\)\n[\s\S]*Nothing is configured/,
    [/loginctl enable-linger/, /the service does not get HTTPS_PROXY, whose password everybody could read/],
  );
  const unit = await readFile(join(folder, ".config/systemd/user/mountaineer.service"), "utf8");
  assert.match(unit, /^Environment="NO_PROXY=\.corp"$/m);
  assert.doesNotMatch(unit, /s3cret|HTTPS_PROXY/);
  const down = await runCommand(["down"], options);
  assert.deepEqual([down.code, down.stdout], [0, "✓ Mountaineer is stopped\n"], down.stderr);
  assert.match(down.stderr, /your next login; mountaineer uninstall removes the service/);
  await stat(join(folder, ".config/systemd/user/mountaineer.service"));
});

test("up lists the errors of the configuration and starts nothing; it says which file cannot be written", async (t) => {
  if (process.platform !== "linux") return t.skip("the paths are Linux's");
  const { folder } = await scene(t, "linux");
  await writeFile(join(folder, ".config"), "a file");
  const options = { home: join(folder, "m"), env: { HOME: folder, PATH: process.env["PATH"] ?? "" } };
  await ends(runCommand(["up"], options), 1, null, /cannot be written/);
  await writeFile(join(folder, "absent"), "");
  await writeFile(join(folder, "m/config.toml"), "nosuch = 1\n");
  await ends(runCommand(["up"], options), 3, null, /config\.toml:1:1: nosuch\n/);
});
