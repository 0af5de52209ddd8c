import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import {
  access,
  chmod,
  chown,
  cp,
  mkdir,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { currentBuild } from "../../scripts/current-build.ts";
import { COMMAND_GROUPS, COMMANDS, SECTIONS } from "../../src/cli/program/command-list.ts";
import { parseAndRun } from "../../src/cli/program/program.ts";
import { exitCodeOfError, failureText } from "../../src/cli/run.ts";
import { ERROR_CODES, MountaineerError } from "../../src/runtime/errors.ts";
import { startRig } from "../api/management-rig.ts";
import { sampleReport, sampleResult, sampleShare, scriptedControl } from "../api/sample-report.ts";
import { collect, type Ran } from "../support/collect.ts";
import { ends } from "../support/ends.ts";
import { eventually } from "../support/eventually.ts";
import { pluck } from "../support/pluck.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { LINUX_ALONE } from "../support/where.ts";
import { COMMAND, environmentOf, runCommand, runProcess, startCommand } from "./command-line.ts";

// Spelled so that no control character stands in a regular expression.
const ESCAPE = "\u001b";
const BANNER = `${ESCAPE}[1;30;43m`;

const two = sampleReport([sampleShare(), sampleShare({ name: "MEDIA" })]);

describe("the command line", { concurrency: 3 }, () => {
  test("the version is printed for every usual spelling of the option, and nothing else is loaded", async (t) => {
    const home = await temporaryFolder(t);
    const { version } = JSON.parse(await readFile(new URL("../../package.json", import.meta.url), "utf8"));
    for (const flag of ["--version", "-V", "-v", "version"]) {
      assert.deepEqual(await runCommand([flag], { home }), {
        code: 0,
        signal: null,
        stdout: `${version}\n`,
        stderr: "",
      });
    }
  });

  test("D2 with --json an error is one object on stdout, with the same exit code; an argument after -- is another program's", async (t) => {
    const home = await temporaryFolder(t);
    for (const [args, code, exit] of [
      [["shares", "remove", "--share", "CORE", "--json"], "share_unknown", 2],
      [["status", "--json", "--nonsense"], "usage", 2],
      [["clients", "--json"], "daemon_unreachable", 8],
    ] as const) {
      const ended = await runCommand(args, { home });
      const { error } = JSON.parse(ended.stdout);
      assert.deepEqual(
        [ended.code, error.code, Object.keys(error)],
        [exit, code, ["code", "message", "hint"]],
      );
      assert.ok(ended.stderr.includes(error.message));
    }
    await ends(runCommand(["backends", "add", "a b", "--", "sh", "--json"], { home }), 2, "");
  });

  test("help shows every command with examples, on stdout, in the order in which people need them", async (t) => {
    const home = await temporaryFolder(t);
    const asked = await ends(runCommand(["--help"], { home }), 0, /Examples:\n {2}mountaineer up\n/, "");
    for (const { name } of [...COMMANDS, ...COMMAND_GROUPS]) {
      if (name.includes(" ")) continue;
      assert.match(asked.stdout, new RegExp(`^ {2}${name} `, "m"));
    }
    const headings = [...asked.stdout.matchAll(/^[A-Z][\w ]+:$/gm)].map(([heading]) => heading);
    assert.deepEqual(headings, ["Options:", ...SECTIONS.map(({ heading }) => heading), "Examples:"]);
    // Here, not as sixty processes.
    for (const { name, examples } of [...COMMANDS, ...COMMAND_GROUPS]) {
      let help = "";
      const code = await parseAndRun([...name.split(" "), "--help"], {
        print(text) {
          help += text;
        },
        complain: assert.fail,
        makeContext: () => assert.fail("help runs no command"),
      });
      assert.equal(code, 0);
      for (const command of Object.keys(examples)) assert.ok(help.includes(`  ${command}\n`), command);
      assert.match(help, /--config <file>/);
    }
    assert.deepEqual(await readdir(home), []);
  });

  test("without a command it explains how to start; once something is configured, it shows the status", async (t) => {
    const home = await temporaryFolder(t);
    const bare = await runCommand([], { home });
    assert.deepEqual([bare.code, bare.stderr], [0, ""]);
    assert.match(bare.stdout, /^Mountaineer \S+ keeps your NAS shares mounted/);
    for (const command of ["demo", "init", "up"])
      assert.match(bare.stdout, new RegExp(`^ {2}mountaineer ${command} {2,}\\w`, "m"));
    assert.match(bare.stdout, /\nmountaineer --help lists all commands\.\n$/);
    assert.deepEqual(await readdir(home), [], "it changes nothing");
    const { home: running } = await startRig(t, { control: scriptedControl(two) });
    const status = await runCommand([], { home: running });
    assert.deepEqual([status.code, status.stderr], [0, ""]);
    assert.match(
      status.stdout,
      /● MEDIA {2}mounted over Thunderbolt[\s\S]*\nmountaineer --help lists all commands\.\n$/,
    );
  });

  test("words that people try first are answered with the command to type", async (t) => {
    const home = await temporaryFolder(t);
    const cases: [string, RegExp][] = [
      ["install", /hint: mountaineer up$/],
      ["stop", /hint: mountaineer down$/],
      ["validate", /hint: mountaineer config validate$/],
      ["list", /mountaineer shares list, mountaineer backends list/],
      ["login", /mountaineer backends login NAME/],
      ["token", /mountaineer init --add --token/],
    ];
    for (const [word, hint] of cases) {
      const { code, stdout, stderr } = await runCommand([word], { home });
      assert.deepEqual([code, stdout], [2, ""]);
      assert.match(stderr, new RegExp(`^mountaineer: unknown command '${word}'\n`));
      assert.match(stderr.trimEnd(), hint);
    }
    const [shares, favorites] = await Promise.all([
      runCommand(["shares", "list", "--help"], { home }),
      runCommand(["favorites", "list", "--help"], { home }),
    ]);
    assert.deepEqual(favorites, shares, "favorites is another word for shares");
  });

  test("an unknown word ends with exit code 2, one line and the word probably meant", async (t) => {
    const home = await temporaryFolder(t);
    const cases: [string[], RegExp, RegExp][] = [
      [["mout"], /unknown command 'mout'/, /did you mean mount\?/],
      [["unmount", "--forse"], /unknown option '--forse'/, /did you mean --force\?/],
      [["mount", "CORE"], /too many arguments/, /--share NAME/],
      [["switch"], /required option '--to <route>'/, /mountaineer switch --help/],
      [["switch", "--to", "lan"], /Allowed choices are tb, fallback, auto/, /--help/],
      [["switch", "--to", "tb", "--force", "--wait"], /cannot be used with/, /--help/],
      [["mount", "--all", "--share", "CORE"], /cannot be used with/, /--help/],
      [["mount", "--share"], /argument missing/, /--help/],
      [["monitor", "--interval", "soon"], /a number of seconds from 0\.05 to 86400/, /--help/],
      [["status", "--share", "CORE"], /unknown option '--share'/, /./],
      [["init", "--thunderbolt-host", "nas"], /unknown option/, /did you mean --tb-host\?/],
      [["fleet", "key", "--nosuch"], /unknown option '--nosuch'/, /mountaineer fleet key --help/],
    ];
    await Promise.all(
      cases.map(async ([args, message, hint]) => {
        const { code, stdout, stderr } = await runCommand(args, { home });
        assert.deepEqual([code, stdout], [2, ""], args.join(" "));
        const [first = "", second = "", ...rest] = stderr.split("\n");
        assert.match(first, /^mountaineer: /);
        assert.match(first, message);
        assert.match(second, /^ {2}hint: /);
        assert.match(second, hint);
        assert.deepEqual(rest, [""]);
      }),
    );
  });

  test("status asks the daemon; --json is its report unchanged", async (t) => {
    const { home } = await startRig(t, { control: scriptedControl(two) });
    await ends(runCommand(["status", "--json"], { home }), 0, `${JSON.stringify(two, null, 2)}\n`, "");
    const human = await runCommand(["status"], { home });
    assert.deepEqual([human.code, human.stderr], [0, ""]);
    assert.match(human.stdout, /● running \(pid 4211/);
    assert.match(human.stdout, /● MEDIA {2}mounted over Thunderbolt/);
    assert.ok(!human.stdout.includes(ESCAPE));
  });

  test("status is 0 in any state, verify 1 when there is a problem", async (t) => {
    const report = sampleReport([
      sampleShare({ mount_state: "error", active_interface: "none", last_error: "no host" }),
    ]);
    const checked = { shares: 1, backends: 0 };
    const finding = {
      share: "CORE",
      severity: "error",
      code: "unmounted",
      text: "is not mounted",
      hint: "see why",
    } as const;
    const control = scriptedControl(report, undefined, { ok: false, findings: [finding], checked });
    const { home } = await startRig(t, { control });
    assert.equal((await runCommand(["status"], { home })).code, 0);
    const verify = await runCommand(["verify", "--share", "CORE"], { home });
    assert.deepEqual([verify.code, verify.stdout], [1, "✗ CORE  is not mounted\n    hint: see why\n"]);
    const json = await runCommand(["verify", "--json"], { home });
    assert.deepEqual(
      [json.code, JSON.parse(json.stdout)],
      [1, { ok: false, findings: [finding], checked: checked }],
    );
    const { home: well } = await startRig(t);
    assert.equal((await runCommand(["verify"], { home: well })).code, 0);
  });

  test("each changing command sends the request that its options describe", async (t) => {
    const control = scriptedControl(two);
    const { home } = await startRig(t, { control });
    const commands = [
      ["reconcile"],
      ["mount", "--all"],
      ["unmount", "--share", "CORE", "--share=MEDIA", "--force"],
      ["switch", "--to", "tb", "--wait", "--share", "MEDIA"],
      ["switch", "--to=auto", "--force", "--json"],
    ];
    for (const args of commands) {
      const { code, stdout, stderr } = await runCommand(args, { home });
      assert.deepEqual([code, stderr], [0, ""], args.join(" "));
      assert.match(stdout, args.includes("--json") ? /^\[\n/ : /✓ \w+ +mounted over Thunderbolt/);
    }
    assert.deepEqual(pluck(control.calls, "name", "selection", "options"), [
      ["reconcile", null, {}],
      ["mount", null, {}],
      ["unmount", ["CORE", "MEDIA"], { force: true }],
      ["switch", ["MEDIA"], { to: "tb", force: false, wait: true }],
      ["switch", null, { to: "auto", force: true, wait: false }],
    ]);
  });

  test("the worst share decides a changing command's exit code", async (t) => {
    const outcomes = { CORE: "mounted", MEDIA: "busy", OLD: "failed" } as const;
    const shares = Object.keys(outcomes).map((name) => sampleShare({ name }));
    const control = scriptedControl(sampleReport(shares), (share) =>
      sampleResult({ share, result: outcomes[share as keyof typeof outcomes], detail: "" }),
    );
    const { home } = await startRig(t, { control });
    const codeOf = async (...names: string[]) =>
      (await runCommand(["unmount", ...names.flatMap((name) => ["--share", name])], { home })).code;
    assert.deepEqual(
      await Promise.all([codeOf("CORE"), codeOf("CORE", "MEDIA"), codeOf("MEDIA", "OLD"), codeOf()]),
      [0, 7, 1, 1],
    );
  });

  test("an unknown share ends with exit code 2, the known names, and the name probably meant", async (t) => {
    const { home } = await startRig(t, { control: scriptedControl(two) });
    const { code, stdout, stderr } = await runCommand(["mount", "--share", "CORR"], { home });
    assert.deepEqual([code, stdout], [2, ""]);
    assert.equal(
      stderr,
      'mountaineer: there is no share named "CORR"\n  hint: did you mean CORE? (configured: CORE, MEDIA)\n',
    );
  });

  test("with no share configured a changing command says so on stderr, and does not fail", async (t) => {
    const { home } = await startRig(t, { control: scriptedControl(sampleReport([])) });
    await ends(runCommand(["mount", "--json"], { home }), 0, "[]\n", /no share is configured/);
  });

  test("a configuration that is not the daemon's is refused, another path to the same one is not", async (t) => {
    const home = await temporaryFolder(t);
    const config = join(home, "config.toml");
    await writeFile(config, "");
    await writeFile(join(home, "other.toml"), "");
    await symlink(config, join(home, "alias.toml"));
    const control = scriptedControl(sampleReport([sampleShare()], { config_path: config }));
    await startRig(t, { home, control });
    for (const args of [["status"], ["mount"], ["verify"]]) {
      const other = args[0] === "status" ? "other.toml" : join(home, "other.toml");
      const cwd = args[0] === "status" ? { cwd: home } : {};
      const refused = await runCommand([...args, "--config", other], { home, ...cwd });
      assert.equal(refused.code, 2, args.join(" "));
      assert.match(refused.stderr, /the running daemon uses .*config\.toml, not .*other\.toml\n {2}hint: /);
    }
    assert.deepEqual(control.calls, []);
    await ends(runCommand(["--config", "config.toml", "status"], { home, cwd: home }), 0);
    for (const same of [config, join(home, "alias.toml")]) {
      assert.equal((await runCommand(["--config", same, "status"], { home })).code, 0, same);
    }
  });

  test("a daemon that hangs ends a command with exit code 8 and the process id", async (t) => {
    const home = await temporaryFolder(t);
    const socket = join(home, "mountaineer.sock");
    const sockets = new Set<Socket>();
    const server = createServer((connection) => sockets.add(connection.on("error", () => {}))).listen(socket);
    await once(server, "listening");
    t.after(() => {
      for (const connection of sockets) connection.destroy();
      server.close();
    });
    await writeFile(
      join(home, "daemon.json"),
      JSON.stringify({ pid: 4711, socket, version: "", started_at: "", home }),
    );
    const runs = await Promise.all([runCommand(["status"], { home }), runCommand(["mount"], { home })]);
    for (const { code, stdout, stderr } of runs) {
      assert.deepEqual([code, stdout], [8, ""]);
      assert.match(
        stderr,
        /^mountaineer: the daemon \(pid 4711\) has said nothing for 6 s\n {2}hint: .*\(kill 4711, at last kill -9 4711\)/,
      );
    }
  });

  test("a daemon that ends during a command gives exit code 8; one that refuses gives its error's", async (t) => {
    const control = scriptedControl(sampleReport(), async (_share, { signal }) => {
      await once(signal, "abort");
      throw signal.reason;
    });
    const { home, server } = await startRig(t, { control });
    const asking = runCommand(["mount"], { home });
    await eventually(() => control.calls.length === 1);
    await server[Symbol.asyncDispose]();
    await ends(asking, 8, null, /the daemon ended before it was done/);
    const refusing = scriptedControl(sampleReport(), () => {
      throw new MountaineerError("permission_denied", "not allowed");
    });
    await startRig(t, { home, control: refusing });
    assert.equal((await runCommand(["mount"], { home })).code, 1);
  });

  test("Ctrl-C ends a waiting switch with 130, SIGTERM with 143, and the daemon is notified of it", async (t) => {
    const control = scriptedControl(sampleReport(), async (share, { signal }) => {
      await once(signal, "abort");
      return sampleResult({ share });
    });
    const { home } = await startRig(t, { control });
    for (const [signal, expected] of [["SIGINT", 130] as const, ["SIGTERM", 143] as const]) {
      control.calls.length = 0;
      const { child, ended } = startCommand(["switch", "--to", "tb", "--wait"], { home });
      const call = await eventually(() => control.calls[0]);
      child.kill(signal);
      await ends(ended, expected, "", `mountaineer: stopped by ${signal}\n`);
      await eventually(() => call.signal.aborted);
    }
  });

  test("a reader that has read enough is not a failure", async (t) => {
    const shares = Array.from({ length: 2_000 }, (_, index) => sampleShare({ name: `S${index}` }));
    const { home } = await startRig(t, { control: scriptedControl(sampleReport(shares)) });
    for (const args of ["status", "status --json", "mount", "--help"]) {
      const script = `{ ${COMMAND.map((word) => `'${word}'`).join(" ")} ${args}; echo "code $?" >&2; } | head -c 10 >/dev/null`;
      await ends(inShell(script, home), 0, "", "code 0\n");
    }
  });

  test("stdout that cannot be written, as on a full disk, is a reported failure", async (t) => {
    const { home } = await startRig(t);
    try {
      await access("/dev/full");
    } catch {
      return t.skip("no /dev/full here");
    }
    const script = `${COMMAND.map((word) => `'${word}'`).join(" ")} status >/dev/full`;
    await ends(inShell(script, home), 1, "", /^mountaineer: stdout cannot be written: .*ENOSPC.*\n$/);
  });

  test("on a terminal status is in colour and as wide as it; NO_COLOR and other locales are respected", {
    skip: LINUX_ALONE,
  }, async (t) => {
    const ready = sampleShare({ active_interface: "fallback", tb_recovery_pending: true });
    const { home } = await startRig(t, { control: scriptedControl(sampleReport([ready])) });
    const onTerminal = async (env: Record<string, string>) => {
      const line = `stty cols 70 2>/dev/null; ${COMMAND.join(" ")} status`;
      const terminal = spawn("script", ["-qec", line, "/dev/null"], {
        env: environmentOf({ home, env: { TERM: "xterm", ...env } }),
        stdio: ["ignore", "pipe", "ignore"],
      });
      return collect(terminal).ended.then(
        ({ stdout }) => stdout,
        () => null,
      );
    };
    const colour = await onTerminal({});
    if (colour === null) return t.skip("no script(1) here");
    const [, block = ""] = colour.split(BANNER);
    assert.match(block, /^ ▶▶ TB Ready/);
    assert.equal(block.split(ESCAPE)[0]?.length, 70 - 4);
    const plain = (await onTerminal({ NO_COLOR: "1", LANG: "C" })) ?? "";
    assert.match(plain, /^ {5}>> TB Ready/m);
    assert.ok(!plain.includes(ESCAPE));
    assert.match(plain, /^[\r\n -~]+$/);
  });

  test("MOUNTAINEER_LOG=debug prints stacks", async (t) => {
    const { home } = await startRig(t);
    const { stderr } = await runCommand(["mount", "--share", "X"], {
      home,
      env: { MOUNTAINEER_LOG: "debug" },
    });
    assert.match(stderr, /MountaineerError: there is no share named "X"\n {6}at /);
  });
});

function inShell(script: string, home: string): Promise<Ran> {
  const shell = spawn("/bin/sh", ["-c", script], {
    env: environmentOf({ home }),
    stdio: ["ignore", "pipe", "pipe"],
  });
  return collect(shell).ended;
}

const style = { width: 80, color: false, unicode: false };

test("E4 the owner of a build keeps its compiled code where only he writes, and another user keeps none", async (t) => {
  const folder = await temporaryFolder(t);
  const build = currentBuild();
  assert.ok(build !== null, "not built yet");
  const copy = join(folder, "build");
  const compiled = join(copy, "compiled");
  await cp(build, copy, { recursive: true, filter: (from) => !from.endsWith("compiled") });
  const { NODE_COMPILE_CACHE: _, ...env } = environmentOf({ home: join(folder, "home") });
  const status = () => promisify(execFile)(process.execPath, [join(copy, "main.js"), "status"], { env });
  if (process.getuid?.() === 0) {
    await chown(copy, 65_534, 65_534);
    await status();
    await assert.rejects(readdir(compiled), { code: "ENOENT" });
    await chown(copy, 0, 0);
  }
  await status();
  assert.ok((await readdir(compiled)).length > 0);
  assert.equal((await stat(compiled)).mode & 0o777, 0o700);
  await rm(compiled, { recursive: true });
  await mkdir(compiled);
  await chmod(compiled, 0o777);
  await status();
  assert.deepEqual(await readdir(compiled), [], "others could have written it");
});

test("a failure is one line, and a hint if there is one", () => {
  const error = new MountaineerError("lock_held", "somebody changes this home", { hint: "wait\x1b" });
  assert.equal(
    failureText(error, { style, debug: false }),
    "mountaineer: somebody changes this home\n  hint: wait\\x1b\n",
  );
  assert.equal(
    failureText(new MountaineerError("internal", "x"), { style, debug: false }),
    "mountaineer: x\n",
  );
});

test("a message of several lines, such as a config's errors, keeps them", () => {
  const error = new MountaineerError("config_invalid", "2 mistakes\n/c.toml:1:2 a\n/c.toml:3:4 b");
  assert.equal(
    failureText(error, { style, debug: false }),
    "mountaineer: 2 mistakes\n  /c.toml:1:2 a\n  /c.toml:3:4 b\n",
  );
});

test("an error that is not ours is a bug in Mountaineer, with its stack only when debugging", () => {
  const error = new TypeError("x is undefined", { cause: new Error("deeper") });
  const text = failureText(error, { style, debug: false });
  assert.match(text, /^mountaineer: internal error: x is undefined\n {2}hint: .*MOUNTAINEER_LOG=debug.*\n$/);
  const debugged = failureText(error, { style, debug: true });
  assert.match(debugged, /TypeError: x is undefined\n {6}at /);
  assert.match(debugged, /Error: deeper\n/);
  assert.match(failureText("thrown text", { style, debug: true }), /internal error: thrown text/);
});

test("a refusal by the operating system is reported as it is, not as a bug", () => {
  const full = Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
  assert.equal(
    failureText(full, { style, debug: false }),
    "mountaineer: ENOSPC: no space left on device, write\n",
  );
  assert.equal(exitCodeOfError(full), 1);
  const odd = Object.assign(new Error("ERR_INVALID_ARG_TYPE"), { code: "ERR_INVALID_ARG_TYPE" });
  assert.match(failureText(odd, { style, debug: false }), /internal error/);
  assert.equal(exitCodeOfError(odd), 70);
});

test("an error ends a command with its code's exit code, and anything else with 70", () => {
  for (const [code, { exit }] of Object.entries(ERROR_CODES)) {
    assert.equal(exitCodeOfError(new MountaineerError(code as keyof typeof ERROR_CODES, "")), exit, code);
  }
  assert.equal(exitCodeOfError(new TypeError("x")), 70);
});

test("commands that run at once in this process have separate environments and streams, and do not touch ours", async (t) => {
  const folder = await temporaryFolder(t);
  const before = { ...process.env };
  const homes = ["one", "two", "three"].map((name) => join(folder, name));
  const ran = await Promise.all(
    homes.map(async (home) => {
      await mkdir(home);
      return runCommand(["config", "path"], { home });
    }),
  );
  assert.deepEqual(
    pluck(ran, "code", "stdout", "stderr"),
    homes.map((home) => [0, `${join(home, "config.toml")}\n`, ""]),
  );
  assert.deepEqual({ ...process.env }, before);
});

test("a command ends in this process as in its own: with its code, its output and its input", async (t) => {
  const home = await temporaryFolder(t);
  const lines: readonly (readonly [args: readonly string[], input?: string])[] = [
    [["config", "path"]],
    [["no-such-command"]],
    [["config", "get", "no.such.key"]],
    [["--help"]],
    [["fleet", "key"], "no code\n"],
    [["secret", "set", "nas"]],
  ];
  for (const [args, input] of lines) {
    const options = { home, ...(input === undefined ? {} : { input }) };
    assert.deepEqual(await runCommand(args, options), await runProcess(args, options), args.join(" "));
  }
});
