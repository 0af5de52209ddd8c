// What options and arguments are read as.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { type TestContext, test } from "node:test";
import { Command } from "commander";
import { monitorCommand } from "../../../src/cli/commands/up.ts";
import { givenOf, JSON_OPTION, type Parameters, type ParsedInput } from "../../../src/cli/input/command.ts";
import { intervalMs, readMonitorArguments } from "../../../src/cli/input/monitor-arguments.ts";
import { chosenShares, SHARE_OPTIONS, showResult, WAIT_OPTION } from "../../../src/cli/input/options.ts";
import { readToolArguments } from "../../../src/cli/input/tool-arguments.ts";
import { addTaken, createProgram, parseAndRun } from "../../../src/cli/program/program.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { ends } from "../../support/ends.ts";
import { fc } from "../../support/properties.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { runCommand } from "../command-line.ts";

/** What a command is given when those words are typed; a refusal throws its text. */
function given<const Declared extends Parameters>(
  takes: Declared,
  ...words: readonly string[]
): ParsedInput<Declared> {
  const command = new Command().exitOverride().configureOutput({ writeErr() {} });
  addTaken(command, takes);
  command.parse(words, { from: "user" });
  return givenOf(takes, command.opts(), command.processedArgs);
}

test("the selected shares are the named ones, each of them, or all", () => {
  const shares = (...words: string[]) => chosenShares(given(SHARE_OPTIONS, ...words).share);
  assert.deepEqual(shares("--share", "A", "--share", "B"), ["A", "B"]);
  assert.equal(shares(), null);
  assert.equal(shares("--all"), null);
  assert.throws(() => shares("--all", "--share", "A"), /cannot be used with option/);
});

test("a wait is a number of seconds up to a day, and half a minute by default", () => {
  assert.deepEqual(given(WAIT_OPTION), { wait: 30_000 });
  assert.deepEqual(given(WAIT_OPTION, "--wait", "0"), { wait: 0 });
  assert.deepEqual(given(WAIT_OPTION, "--wait", "2.5"), { wait: 2_500 });
  assert.deepEqual(given(WAIT_OPTION, "--wait", "86400"), { wait: 86_400_000 });
  for (const wrong of ["86401", "-1", "soon", "", "1e3"])
    assert.throws(() => given(WAIT_OPTION, `--wait=${wrong}`), /from 0 to 86400/, wrong);
});

test("an option that is not given is empty, null, false, or its declared default", () => {
  const takes = {
    "<name>": "",
    "[more...]": "",
    "-f, --dry-run": "",
    "--to-host <host>": "",
    "--report [file]": "",
    "--env <KEY=value>": { about: "", isList: true },
    "--kind <kind>": { about: "", choices: ["a", "b"], otherwise: "a" },
    "--token": "",
    "--no-token": "",
    "--no-start": "",
  } as const;
  const nothing = {
    name: "n",
    more: [],
    dryRun: false,
    toHost: null,
    report: null,
    env: [],
    kind: "a",
    token: null,
    start: true,
  };
  assert.deepEqual(given(takes, "n"), nothing);
  assert.deepEqual(given(takes, "n", "--no-token", "--no-start"), { ...nothing, token: false, start: false });
  assert.deepEqual(
    given(
      takes,
      "n",
      "m",
      "o",
      "-f",
      "--to-host=h",
      "--report",
      "--env",
      "A=1",
      "--env=B",
      "--kind=b",
      "--token",
    ),
    {
      name: "n",
      more: ["m", "o"],
      dryRun: true,
      toHost: "h",
      report: true,
      env: ["A=1", "B"],
      kind: "b",
      token: true,
      start: true,
    },
  );
  assert.throws(() => given(takes, "n", "--kind", "c"), /Allowed choices are a, b/);
  const open = { "[what...]": { about: "", choices: ["a"], isOpen: true } } as const;
  assert.deepEqual(given(open, "a", "else"), { what: ["a", "else"] });
});

test("a result is JSON on request, else text for people", () => {
  const printed: string[] = [];
  const print = (text: string) => void printed.push(text);
  showResult(
    { print, json: true, stdoutStyle: { width: 80, color: false, unicode: false } },
    { a: 1 },
    () => "never",
  );
  showResult(
    { print, json: false, stdoutStyle: { width: 80, color: false, unicode: false } },
    { a: 1 },
    () => "for people\n",
  );
  assert.deepEqual(printed, ['{\n  "a": 1\n}\n', "for people\n"]);
  assert.deepEqual(given(JSON_OPTION, "--json"), { json: true });
});

const never = new AbortController().signal;
const nothing = Readable.from([]);

test("arguments are an object, from the command line or stdin; without any it is empty", async () => {
  assert.deepEqual(await readToolArguments(null, nothing, never), {});
  assert.deepEqual(await readToolArguments('{"a":[1]}', nothing, never), { a: [1] });
  const bytes = Buffer.from('{"ü":"🎬"}');
  // Cut within a character.
  const stdin = Readable.from([bytes.subarray(0, 3), bytes.subarray(3)]);
  assert.deepEqual(await readToolArguments("-", stdin, never), { ü: "🎬" });
});

test("text that is not a JSON object is a usage error, with an example", async () => {
  for (const given of ["", "path=/tmp", "{'a':1}", "[1]", "null", "7", '"x"', "-"]) {
    await assert.rejects(readToolArguments(given, Readable.from([]), never), (error) => {
      assert.ok(error instanceof MountaineerError);
      assert.equal(error.code, "usage", given);
      assert.match(error.hint ?? "", /mountaineer call TOOL '/);
      return true;
    });
  }
});

test("input longer than the daemon accepts is not read to its end", async () => {
  const endless = Readable.from(
    (function* () {
      for (;;) yield Buffer.alloc(1024 * 1024, "x");
    })(),
  );
  await assert.rejects(readToolArguments("-", endless, never), { code: "usage", message: /longer than/ });
});

test("waiting for stdin ends at once when it is cancelled", async () => {
  const cancel = new AbortController();
  const reading = readToolArguments("-", new PassThrough(), cancel.signal);
  reading.catch(() => {});
  cancel.abort(new MountaineerError("aborted", "stopped by SIGINT"));
  await assert.rejects(reading, { code: "aborted" });
  await assert.rejects(readToolArguments("-", Readable.from(["{}"]), cancel.signal), { code: "aborted" });
});

test("a plain monitor is read with its options in any order", () => {
  const plain = { config: null, intervalMs: null, unmountOnExit: false };
  assert.deepEqual(readMonitorArguments(["monitor"]), plain);
  assert.deepEqual(readMonitorArguments(["--config", "c.toml", "monitor"]), { ...plain, config: "c.toml" });
  assert.deepEqual(readMonitorArguments(["monitor", "--interval=0.5", "--unmount-on-exit", "--config=a b"]), {
    config: "a b",
    intervalMs: 500,
    unmountOnExit: true,
  });
});

test("any other call is left to the full parser", () => {
  const others = [
    [],
    ["status"],
    ["monitor", "--help"],
    ["monitor", "--interval"],
    ["monitor", "--interval", "soon"],
    ["monitor", "extra"],
    ["monitor", "monitor"],
    ["monitor", "--config"],
    ["--unmount-on-exit", "monitor"],
    ["help", "monitor"],
  ];
  for (const args of others) assert.equal(readMonitorArguments(args), null, args.join(" "));
});

test("the full parser reads a plain monitor's options the same", async () => {
  const word = fc.constantFrom(
    "monitor",
    "status",
    "--interval",
    "--interval=2",
    "0.5",
    "7",
    "--unmount-on-exit",
    "--config",
    "--config=x",
    "c.toml",
    "--bogus",
  );
  await fc.assert(
    fc.asyncProperty(fc.array(word, { maxLength: 6 }), async (args) => {
      const read = readMonitorArguments(args);
      if (read === null) return;
      let seen: unknown = null;
      const program = createProgram({ print() {}, complain() {} }, async (definition, command) => {
        assert.equal(definition, monitorCommand);
        const {
          config = null,
          interval = null,
          unmountOnExit = false,
        } = command.optsWithGlobals<Record<string, unknown>>();
        seen = { config, intervalMs: interval, unmountOnExit };
      });
      await program.parseAsync(args, { from: "user" });
      assert.deepEqual(seen, read);
    }),
    { numRuns: 300 },
  );
});

test("an interval is a positive number of seconds within a sensible range", () => {
  assert.equal(intervalMs("2"), 2_000);
  assert.equal(intervalMs(".25"), 250);
  assert.equal(intervalMs("0.0515"), 52);
  for (const text of ["0", "-1", "1e3", "0x10", "", " 2", "2s", "NaN", "Infinity", "86401", "1.", "0.01"]) {
    assert.equal(intervalMs(text), null, text);
  }
});

test("the daemon's program does not load commander", () => {
  const urlOf = (name: string) =>
    JSON.stringify(new URL(`../../../src/cli/${name}.ts`, import.meta.url).href);
  const probe = `
    import { registerHooks } from "node:module";
    const resolved = [];
    registerHooks({ resolve(specifier, context, next) { resolved.push(specifier); return next(specifier, context); } });
    process.on("exit", () => console.log(resolved.some((name) => /run-monitor/.test(name)), resolved.includes("commander")));
    const { readMonitorArguments } = await import(${urlOf("input/monitor-arguments")});
    const { runDaemon } = await import(${urlOf("daemon")});
    const args = ["monitor", "--config", "/nonexistent.ini"];
    await runDaemon(args, readMonitorArguments(args), () => {});`;
  const env = { ...process.env, MOUNTAINEER_HOME: "/dev/null/home" };
  const ran = spawnSync(process.execPath, ["--input-type=module", "-e", probe], { encoding: "utf8", env });
  assert.equal(ran.stdout, "true false\n", ran.stderr);
});

test("a usage error keeps commander's text", async () => {
  const options = { makeContext: () => assert.fail(), print() {}, complain() {} };
  await assert.rejects(parseAndRun(["monitor", "--interval", "soon"], options), {
    code: "usage",
    message: /soon/,
  });
});

// Where `--url` takes the management token of another machine's daemon from.
const NOBODY = ["status", "--url", "http://127.0.0.1:1"];

async function withFile(t: TestContext, text: string, mode: number) {
  const home = await temporaryFolder(t);
  const file = join(home, "token");
  await writeFile(file, text);
  await chmod(file, mode);
  return runCommand([...NOBODY, "--token-file", file], { home });
}

test("F2 a token file is read if only its owner can read it", async (t) => {
  await ends(withFile(t, "word\n", 0o600), 8, null, /connection to the daemon/);
});

test("F2 a token file that others can read, that has no token or does not exist is refused", async (t) => {
  const refused: readonly (readonly [string, number, RegExp])[] = [
    ["word\n", 0o640, /others on this machine can read .*token\n.*chmod 600/s],
    ["word\n", 0o604, /others on this machine can read/],
    ["two words\n", 0o600, /one word of letters, digits and signs/],
    ["", 0o600, /one word of letters, digits and signs/],
    ["w".repeat(8_193), 0o600, /is not a token: it is too large/],
  ];
  for (const [text, mode, why] of refused) {
    const { stderr } = await ends(withFile(t, text, mode), 2, null, why);
    assert.doesNotMatch(stderr, /w{20}/);
  }
  const home = await temporaryFolder(t);
  const gone = await runCommand([...NOBODY, "--token-file", join(home, "none")], { home });
  assert.match(gone.stderr, /the token cannot be read from/);
  const alone = await runCommand(["status", "--token-file", join(home, "none")], { home });
  assert.match(alone.stderr, /--token-file is for --url/);
});
