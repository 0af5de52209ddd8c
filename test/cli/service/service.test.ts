import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmod, mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
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
import type { ServiceManager } from "../../../src/cli/service/service-outcome.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
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

test("the service has the shell's PATH without what is the project's own, and the home where it is not the usual one", () => {
  assert.equal(
    servicePath("/usr/bin:./x::bin:/a/node_modules/.bin:/usr/bin:/opt/my tools"),
    "/usr/bin:/opt/my tools",
  );
  assert.equal(servicePath(""), "/usr/local/bin:/usr/bin:/bin");
  const usual = serviceDefinition(
    { home: "/home/ann/.mountaineer", configPath: null },
    { HOME: "/home/ann", PATH: "/bin", SECRET: "word" },
  );
  assert.deepEqual(
    [usual.name, usual.args, usual.environment],
    ["mountaineer", ["monitor"], { PATH: "/bin" }],
  );
  const other = serviceDefinition(
    { home: "/srv/m", configPath: "/srv/c.yaml" },
    { HOME: "/home/ann", PATH: "/bin" },
  );
  assert.match(other.name, /^mountaineer-[0-9a-f]{8}$/);
  assert.deepEqual(other.args, ["--config", "/srv/c.yaml", "monitor"]);
  assert.deepEqual(other.environment, { PATH: "/bin", MOUNTAINEER_HOME: "/srv/m" });
});

test("systemd takes the unit, whatever the paths in it", async (t) => {
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

test("the unit lets mounts outlive it, hands over when it is reloaded, and takes specifiers and quotes from their meaning", () => {
  const text = unitText(
    definitionOf("/home/ann", {
      program: `/o p%t/"x"/mountaineer`,
      args: ["--config", "/c$HOME%h.toml", "monitor"],
      environment: { PATH: "/a\\b:/c d" },
    }),
  );
  for (const line of [
    "KillMode=process",
    "Restart=on-failure",
    'ExecReload=/bin/sh "/o p%%t/\\"x\\"/mountaineer" "restart"',
    'ExecStart="/bin/sh" "/o p%%t/\\"x\\"/service-keeper.sh" "/o p%%t/\\"x\\"/mountaineer" "--config" "/c$$HOME%%h.toml" "monitor"',
    'Environment="PATH=/a\\\\b:/c d"',
    "WantedBy=default.target",
  ])
    assert.ok(text.split("\n").includes(line), line);
});

test("a property-list parser reads the agent as it is meant, whatever the paths in it", async (t) => {
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
    ProgramArguments: [
      "/bin/sh",
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

/** A service manager that keeps what it is told in a folder: `calls`, and a file `active` while it runs the service. */
const SYSTEMCTL = `
printf '%s\\n' "$*" >>"$folder/calls"
[ -e "$folder/absent" ] && { echo "Failed to connect to bus: No medium found" >&2; exit 1; }
case "$2" in
  is-active) [ -e "$folder/active" ] ;;
  enable | restart) [ -e "$folder/broken" ] && { echo "Job failed. See logs." >&2; exit 1; }; touch "$folder/active" ;;
  disable) rm -f "$folder/active" ;;
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

interface Scene {
  readonly folder: string;
  manager(more?: Partial<ServiceDefinition>): ServiceManager;
  /** What was asked of the service manager since the last time. */
  calls(): Promise<readonly string[]>;
  mark(name: string, there?: boolean): Promise<void>;
}

async function scene(t: TestContext, platform: "linux" | "darwin"): Promise<Scene> {
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
    manager: (more) =>
      createServiceManager(
        { definition: definitionOf(folder, more), clock: systemClock, environment: {} },
        platform,
      ),
    async calls() {
      const text = await readFile(join(folder, "calls"), "utf8").catch(() => "");
      await rm(join(folder, "calls"), { force: true });
      return text.split("\n").filter((line) => line !== "");
    },
    mark: (mark, there = true) =>
      there ? writeFile(join(folder, mark), "") : rm(join(folder, mark), { force: true }),
  };
}

for (const platform of ["linux", "darwin"] as const) {
  test(`${platform}: an installation starts, the next changes nothing, a changed one restarts, and it can be removed twice`, async (t) => {
    const { manager, calls, folder } = await scene(t, platform);
    const first = await manager().install(NEVER);
    assert.deepEqual([first.changed, first.running, first.failure], [true, true, null]);
    const { filePath, text } = manager();
    assert.equal(await readFile(filePath, "utf8"), text);
    assert.equal((await stat(filePath)).mode & 0o777, 0o644);
    assert.ok(filePath.startsWith(folder));
    await calls();
    const again = await manager().install(NEVER);
    assert.deepEqual([again.changed, again.running, again.failure], [false, true, null]);
    assert.ok((await calls()).every((call) => !/restart|bootout|bootstrap/.test(call)));
    const other = manager({ environment: { PATH: "/elsewhere" } });
    const changed = await other.install(NEVER);
    assert.deepEqual([changed.changed, changed.running, changed.failure], [true, true, null]);
    assert.match(
      (await calls()).join("\n"),
      platform === "linux" ? /daemon-reload[\s\S]*restart/ : /bootout[\s\S]*bootstrap/,
    );
    const removed = await manager().uninstall(NEVER);
    assert.deepEqual([removed.changed, removed.running, removed.failure], [true, false, null]);
    await assert.rejects(stat(filePath));
    const reloads = async () => (await calls()).filter((call) => call.includes("daemon-reload")).length;
    assert.equal(await reloads(), platform === "linux" ? 1 : 0, "systemd forgets what is gone");
    const twice = await manager().uninstall(NEVER);
    assert.deepEqual([twice.changed, twice.running, twice.failure], [false, false, null]);
    assert.equal(await reloads(), 0);
  });

  test(`${platform}: without a manager the file is written and what to do is said; a failure is told`, async (t) => {
    const { manager, mark, calls } = await scene(t, platform);
    await mark("absent");
    const outcome = await manager().install(NEVER);
    assert.deepEqual([outcome.changed, outcome.running, outcome.failure], [true, false, null]);
    assert.match(
      outcome.notes.join("\n"),
      platform === "linux" ? /enable --now mountaineer/ : /launchctl bootstrap/,
    );
    await calls();
    const removed = await manager().uninstall(NEVER);
    assert.deepEqual([removed.changed, removed.failure], [true, null]);
    assert.doesNotMatch((await calls()).join("\n"), /daemon-reload/, "nobody is there to be told");
    await mark("absent", false);
    await mark("broken");
    const failed = await manager().install(NEVER);
    assert.equal(failed.running, false);
    assert.match(failed.failure ?? "", platform === "linux" ? /Job failed/ : /78/);
  });
}

test("darwin: a bootstrap while the old agent is still going is tried again", async (t) => {
  const { manager, mark, calls } = await scene(t, "darwin");
  await mark("progress");
  assert.equal((await manager().install(NEVER)).running, true);
  assert.equal((await calls()).filter((call) => call.startsWith("bootstrap")).length, 2);
});

test("the commands write, print and remove the service's file, and say what to do where no manager is", async (t) => {
  if (process.platform !== "linux") return t.skip("the paths are Linux's");
  const folder = await temporaryFolder(t);
  const home = join(folder, ".mountaineer");
  // No user manager can be found without a runtime folder.
  const options = { home, env: { HOME: folder } };
  const printed = await runCommand(["install", "--print"], options);
  assert.deepEqual([printed.code, printed.stderr], [0, ""]);
  assert.match(
    printed.stdout,
    /^ExecStart="\/bin\/sh" "\/.*\/bin\/service-keeper.sh" "\/.*\/bin\/mountaineer" "monitor"$/m,
  );
  assert.doesNotMatch(printed.stdout, /MOUNTAINEER_HOME/);
  const path = join(folder, ".config/systemd/user/mountaineer.service");
  await assert.rejects(stat(path));
  const installed = await runCommand(["install"], options);
  assert.equal(installed.code, 0, installed.stderr);
  assert.match(installed.stdout, /mountaineer\.service is written/);
  assert.match(
    installed.stderr,
    /no user manager of systemd answers[\s\S]*enable --now mountaineer\.service/,
  );
  assert.equal(await readFile(path, "utf8"), printed.stdout);
  const again = await runCommand(["install", "--json"], options);
  const report = JSON.parse(again.stdout);
  assert.deepEqual(Object.keys(report), ["manager", "path", "changed", "running", "notes", "failure"]);
  assert.deepEqual(
    [report.manager, report.path, report.changed, report.running],
    ["systemd", path, false, false],
  );
  const removed = await runCommand(["uninstall"], options);
  assert.match(removed.stdout, /is removed/);
  assert.doesNotMatch(removed.stderr, /fleet/);
  // G1: where a fleet began, its server outlives the service.
  await mkdir(join(options.home, "fleet-server"), { recursive: true });
  assert.match((await runCommand(["uninstall"], options)).stderr, /fleet's server goes on running/);
  assert.match((await runCommand(["uninstall"], options)).stdout, /was not there/);
  const other = await runCommand(["install", "--print"], {
    home: join(folder, "other"),
    env: { HOME: folder },
  });
  assert.match(other.stdout, /^Environment="MOUNTAINEER_HOME=.*other"$/m);
});

test("a folder that cannot be written is told, with exit code 1", async (t) => {
  if (process.platform !== "linux") return t.skip("the paths are Linux's");
  const folder = await temporaryFolder(t);
  await writeFile(join(folder, ".config"), "a file");
  const { code, stderr } = await runCommand(["install"], { home: join(folder, "m"), env: { HOME: folder } });
  assert.equal(code, 1);
  assert.match(stderr, /cannot be written/);
});
