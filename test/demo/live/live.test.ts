// The live view in a real terminal, operated by keys.
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { missingForSmb } from "../../../src/demo/stage/smb-available.ts";
import { COMMAND } from "../../cli/command-line.ts";
import { eventually } from "../../support/eventually.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { NO_TERMINAL, openTerminal, type Terminal } from "../../tui/terminal.ts";
import { demoEnvironment, leftBehind } from "../demo-process.ts";

const NO_SMB = (await missingForSmb("/nowhere")) ?? false;

const LOCAL = [...COMMAND, "demo", "--driver", "local"];
const LARGE = { columns: 100, rows: 30 };

interface LiveDemo extends Pick<Terminal, "press" | "resize" | "modes"> {
  readonly temporary: string;
  screen(): Promise<string>;
  /** The screen once it matches. */
  shows(pattern: RegExp): Promise<string>;
  pid(): Promise<number>;
}

async function open(
  t: TestContext,
  argv: readonly string[],
  size = { columns: 60, rows: 15 },
): Promise<LiveDemo> {
  const [temporary, folder] = [await temporaryFolder(t), await temporaryFolder(t)];
  const variables = Object.entries(demoEnvironment(temporary)).map(([name, value]) => `${name}=${value}`);
  const quoted = ["env", ...variables, ...argv].map((word) => `'${word}'`).join(" ");
  const [script, pidFile] = [join(folder, "run.sh"), join(folder, "pid")];
  const lines = [
    // The shell survives the Ctrl-C for the demo.
    "trap : INT",
    "before=$(stty -g)",
    `sh -c 'echo $$ > ${pidFile}; exec "$@"' sh ${quoted}`,
    "code=$?",
    '[ "$before" = "$(stty -g)" ] && echo the same terminal',
    'echo "exit $code"',
    // Keeps the pane, which shows how the demo ended.
    "exec cat",
  ];
  await writeFile(script, lines.join("\n"));
  const env = { TERM: "xterm", LANG: "C.UTF-8" };
  const terminal = await openTerminal({ ...size, command: `exec sh ${script}`, env });
  t.after(() => terminal[Symbol.asyncDispose]());
  const textOf = (shown: readonly string[]): string => shown.join("\n").trimEnd();
  return {
    ...terminal,
    temporary,
    screen: async () => textOf(await terminal.lines()),
    shows: async (pattern) => textOf(await terminal.until((shown) => pattern.test(textOf(shown)))),
    pid: async () => Number(await readFile(pidFile, "utf8")),
  };
}

async function isRestored(terminal: LiveDemo, exit: number): Promise<void> {
  const last = await terminal.shows(new RegExp(`^exit ${exit}$`, "m"));
  assert.match(last, /^the same terminal$/m);
  assert.deepEqual(await terminal.modes(), { alternate: false, cursor: true });
}

describe("the live view", { skip: NO_TERMINAL, concurrency: 1 }, () => {
  for (const driver of ["local", "smb"] as const) {
    const skip = driver === "smb" ? NO_SMB : false;
    test(`Recovery: cables are pulled and files opened by keys, on the live view, 60 by 15, driver ${driver}`, {
      skip,
    }, async (t) => {
      const terminal = await open(t, [...COMMAND, "demo", "--driver", driver]);
      if (driver === "smb") {
        await terminal.shows(/a copy .*goes on[\s\S]* 4 remount$/m);
        await terminal.press("4");
        await terminal.shows(/ 4 move$/m);
      }
      await terminal.shows(/"hello from the NAS, no\. \d+" {2}read in \d+ ms/);
      // The strip and the view below it learn of the share one after the other.
      await terminal.shows(/Preferred .* in use[\s\S]*CORE +mounted over the preferred route(?!,)/);
      assert.deepEqual(await terminal.modes(), { alternate: true, cursor: false });

      await terminal.press("1");
      const failedOver = await terminal.shows(/readable again \d+ ms after the cut/);
      assert.match(failedOver, /Preferred {2}●━+╸ {2}╺━+● {2}PULLED/);
      await terminal.shows(/CORE +mounted over Fallback(?!,)/);

      await terminal.press("3");
      await terminal.shows(/close report\.txt \(tail \d+\)/);
      await terminal.press("1");
      await terminal.shows(/CORE +mounted over Fallback, TB Ready/);

      await terminal.press("3");
      await terminal.shows(/open report\.txt[\s\S]*CORE +mounted over the preferred route(?!,)/);
      await terminal.press("q");
      await isRestored(terminal, 0);
      assert.match(await terminal.screen(), /next: mountaineer init/);
      assert.deepEqual(await leftBehind(terminal.temporary), []);
    });
  }

  test("A10 it begins with a copy that continues while its cable is pulled and plugged in, and the mount stays", {
    skip: NO_SMB,
  }, async (t) => {
    const terminal = await open(t, [...COMMAND, "demo", "--driver", "smb"], LARGE);
    const percent = async (): Promise<number> =>
      Number(/(\d+) %, no error/.exec(await terminal.shows(/\d+ %, no error/))?.[1]);
    const goesOn = async (): Promise<void> => {
      const before = await percent();
      await eventually(async () => (await percent()) > before);
    };
    await terminal.shows(/press 1 to pull the preferred cable: [\s\S]*mounted over the preferred route/);
    await goesOn();
    await terminal.press("3");
    await terminal.shows(/close report\.txt \(tail \d+\)/);
    await terminal.press("1");
    await terminal.shows(
      /CORE +mounted over Fallback[\s\S]*Failed over from the preferred route to Fallback/,
    );
    await goesOn();
    await terminal.press("1");
    const back = await terminal.shows(/CORE +mounted over the preferred route/);
    assert.match(back, /close report\.txt \(tail \d+\)/);
    await goesOn();
    await terminal.press("q");
    await isRestored(terminal, 0);
    assert.match(await terminal.screen(), /next: mountaineer init/);
    assert.deepEqual(await leftBehind(terminal.temporary), []);
  });

  test("By hand: the live view's keys keep the share on Fallback, and return it to automatic; both cables pulled: an error, the path to the file gone, and restored with one; another size is redrawn, and a tiny one breaks nothing", async (t) => {
    const terminal = await open(t, LOCAL, LARGE);
    await terminal.shows(/read in[\s\S]*mounted over the preferred route(?!,)/);
    // The demo's own reader has the file open for some milliseconds at each look.
    await eventually(async () => {
      await terminal.press("f");
      return /mounted over Fallback, set by hand/.test(await terminal.screen());
    });
    await terminal.press("o");
    await terminal.shows(/CORE +mounted over the preferred route(?!,)/);
    await terminal.press("2");
    await terminal.press("1");
    await terminal.shows(/hello\.txt {2}✗ No such file[\s\S]*both hosts are gone/);
    await terminal.press("2");
    await terminal.shows(/hello\.txt {2}"hello from the NAS[\s\S]*mounted over Fallback(?!,)/);
    await terminal.resize(30, 5);
    await terminal.shows(/Too small/);
    await terminal.resize(80, 24);
    await terminal.shows(/1 {2}Preferred[\s\S]*mounted over Fallback[\s\S]*q quit/);
    await terminal.press("q");
    await isRestored(terminal, 0);
  });

  for (const [how, code] of [
    ["Ctrl-C", 0],
    ["SIGTERM", 143],
  ] as const)
    test(`${how} restores the terminal and leaves nothing behind`, async (t) => {
      const terminal = await open(t, LOCAL);
      await terminal.shows(/3 open report\.txt/);
      await terminal.press("3");
      await terminal.shows(/close report/);
      if (how === "Ctrl-C") await terminal.press("C-c");
      else process.kill(await terminal.pid(), "SIGTERM");
      await isRestored(terminal, code);
      assert.deepEqual(await leftBehind(terminal.temporary), []);
    });

  test("a terminal that is closed ends the demo, and nothing is left", async (t) => {
    const terminal = await open(t, LOCAL);
    await terminal.shows(/mounted over the preferred route/);
    process.kill(await terminal.pid(), "SIGHUP");
    await eventually(async () => (await leftBehind(terminal.temporary)).length === 0);
  });

  test("with --script, and on a terminal without capabilities, it plays the story without a view", async (t) => {
    for (const argv of [
      [...COMMAND, "demo", "--driver", "local", "--script"],
      ["env", "TERM=dumb", ...COMMAND, "demo", "--driver", "local"],
    ]) {
      const terminal = await open(t, argv, { columns: 120, rows: 30 });
      await terminal.shows(/✓ .*start the daemon/);
      assert.deepEqual(await terminal.modes(), { alternate: false, cursor: true });
      await terminal.press("C-c");
      await terminal.shows(/^exit 130$/m);
      assert.deepEqual(await leftBehind(terminal.temporary), []);
    }
  });
});
