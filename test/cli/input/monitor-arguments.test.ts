import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { monitorCommand } from "../../../src/cli/commands/monitor.ts";
import { intervalMs, readMonitorArguments } from "../../../src/cli/input/monitor-arguments.ts";
import { createProgram, parseAndRun } from "../../../src/cli/program/program.ts";
import { fc } from "../../support/properties.ts";

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

test("whatever is not a plain monitor is left to the whole command line", () => {
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

test("what it reads, the whole command line reads alike", async () => {
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

test("an interval is a positive number of seconds within reason", () => {
  assert.equal(intervalMs("2"), 2_000);
  assert.equal(intervalMs(".25"), 250);
  assert.equal(intervalMs("0.0515"), 52);
  for (const text of ["0", "-1", "1e3", "0x10", "", " 2", "2s", "NaN", "Infinity", "86401", "1.", "0.01"]) {
    assert.equal(intervalMs(text), null, text);
  }
});

test("the daemon's way in loads no commander", () => {
  const probe = `
    import { registerHooks } from "node:module";
    const resolved = [];
    registerHooks({ resolve(specifier, context, next) { resolved.push(specifier); return next(specifier, context); } });
    process.on("exit", () => console.log(resolved.some((name) => /run-monitor/.test(name)), resolved.includes("commander")));
    const { run } = await import(${JSON.stringify(new URL("../../../src/cli/run.ts", import.meta.url).href)});
    await run(["monitor", "--config", "/nonexistent.ini"]);`;
  const env = { ...process.env, MOUNTAINEER_HOME: "/dev/null/home" };
  const ran = spawnSync(process.execPath, ["--input-type=module", "-e", probe], { encoding: "utf8", env });
  assert.equal(ran.stdout, "true false\n", ran.stderr);
});

test("a usage error keeps what commander found", async () => {
  const options = { makeContext: () => assert.fail(), print() {}, complain() {} };
  await assert.rejects(parseAndRun(["monitor", "--interval", "soon"], options), {
    code: "usage",
    message: /soon/,
  });
});
