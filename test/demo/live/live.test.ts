// The live view in a real terminal, worked by real keys.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { missingForPlainRig } from "../../../src/demo/stage/plain-rig.ts";
import { COMMAND } from "../../cli/command-line.ts";
import { eventually } from "../../support/eventually.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { demoEnvironment, leftBehind } from "../demo-process.ts";
import { missingForTerminal, openTerminal, type Terminal } from "../terminal.ts";

const [NODE = ""] = COMMAND;
const CRASH = fileURLToPath(new URL("../programs/crash-in-view.ts", import.meta.url));
const noTerminal = missingForTerminal();

interface LiveDemo {
  readonly terminal: Terminal;
  readonly temporary: string;
  pid(): Promise<number>;
}

async function open(
  t: TestContext,
  argv: readonly string[],
  size = { width: 60, height: 15 },
): Promise<LiveDemo> {
  const temporary = await temporaryFolder(t);
  const variables = Object.entries(demoEnvironment(temporary)).map(([name, value]) => `${name}=${value}`);
  const quoted = ["env", ...variables, ...argv].map((word) => `'${word}'`).join(" ");
  let pidFile = "";
  const terminal = await openTerminal(t, {
    ...size,
    script(folder) {
      pidFile = join(folder, "pid");
      return [
        // The shell outlives the Ctrl-C that is meant for the demo.
        "trap : INT",
        "before=$(stty -g)",
        `sh -c 'echo $$ > ${pidFile}; exec "$@"' sh ${quoted}`,
        "code=$?",
        '[ "$before" = "$(stty -g)" ] && echo the same terminal',
        'echo "exit $code"',
        // The pane stays, and shows how it ended.
        "exec cat",
      ];
    },
  });
  return { terminal, temporary, pid: async () => Number(await readFile(pidFile, "utf8")) };
}

async function isRestored(terminal: Terminal, exit: number): Promise<void> {
  const last = await terminal.shows(new RegExp(`^exit ${exit}$`, "m"));
  assert.match(last, /^the same terminal$/m);
  assert.deepEqual(await terminal.modes(), { alternate: false, cursor: true });
}

describe("the live view", { skip: noTerminal, concurrency: 1 }, () => {
  for (const driver of ["local", "smb"] as const) {
    const skip = driver === "smb" ? (missingForPlainRig() ?? false) : false;
    test(`Recovery: cables are pulled and files opened by keys, 60 by 15, driver ${driver}`, {
      skip,
    }, async (t) => {
      const { terminal, temporary } = await open(t, [...COMMAND, "demo", "--driver", driver]);
      if (driver === "smb") {
        await terminal.shows(/a copy .*goes on/);
        await terminal.key("c");
      }
      await terminal.shows(
        /mounted over Thunderbolt\n[\s\S]*"hello from the NAS, no\. \d+" {2}read in \d+ ms/,
      );
      assert.deepEqual(await terminal.modes(), { alternate: true, cursor: false });

      await terminal.key("t");
      const failedOver = await terminal.shows(
        /CORE {2}mounted over Fallback\n[\s\S]*readable again \d+ ms after the cut/,
      );
      assert.match(failedOver, /Thunderbolt {2}●━+╸ {2}╺━+● {2}PULLED/);
      assert.match(failedOver, /you pull the Thunderbolt cable/);

      await terminal.key("o");
      await terminal.shows(/report\.txt open in tail \(pid \d+\)/);
      await terminal.key("t");
      const ready = await terminal.shows(/TB Ready: Thunderbolt is back; close the file \(o\)/);
      assert.match(ready, /CORE {2}mounted over Fallback/);

      await terminal.key("o");
      await terminal.shows(/CORE {2}mounted over Thunderbolt\n[\s\S]*report\.txt not open/);
      await terminal.key("q");
      await isRestored(terminal, 0);
      assert.match(await terminal.screen(), /next: mountaineer init/);
      assert.deepEqual(await leftBehind(temporary), []);
    });
  }

  test("A10 it begins with a copy that goes on while its cable is pulled and plugged in, and the mount stays", {
    skip: missingForPlainRig() ?? false,
  }, async (t) => {
    const { terminal, temporary } = await open(t, [...COMMAND, "demo", "--driver", "smb"], {
      width: 100,
      height: 30,
    });
    const percent = async (): Promise<number> =>
      Number(/(\d+) %, no error/.exec(await terminal.shows(/\d+ %, no error/))?.[1]);
    const goesOn = async (): Promise<void> => {
      const before = await percent();
      await eventually(async () => (await percent()) > before);
    };
    await terminal.shows(/mounted over Thunderbolt, carried\n[\s\S]*press t to pull the Thunderbolt cable/);
    await goesOn();
    await terminal.key("o");
    await terminal.shows(/report\.txt open in tail/);
    await terminal.key("t");
    await terminal.shows(/CORE {2}mounted over Fallback, carried\n[\s\S]*Failed over .*; the mount stays/);
    await goesOn();
    await terminal.key("t");
    const back = await terminal.shows(/CORE {2}mounted over Thunderbolt, carried\n/);
    assert.match(back, /report\.txt open in tail/);
    await goesOn();
    await terminal.key("q");
    await isRestored(terminal, 0);
    assert.match(await terminal.screen(), /next: mountaineer init/);
    assert.deepEqual(await leftBehind(temporary), []);
  });

  test("By hand: a key holds the share on Fallback, and goes back to automatic", async (t) => {
    const { terminal } = await open(t, [...COMMAND, "demo", "--driver", "local"], { width: 100, height: 30 });
    await terminal.shows(/mounted over Thunderbolt/);
    await terminal.key("h");
    await terminal.shows(
      /mounted over Fallback, held by hand\n[\s\S]*held on Fallback by hand; h goes back to automatic/,
    );
    await terminal.key("h");
    await terminal.shows(/CORE {2}mounted over Thunderbolt/);
    await terminal.key("q");
    await isRestored(terminal, 0);
  });

  test("both cables pulled: an error, the way to the file gone, and back with one of them", async (t) => {
    const { terminal } = await open(t, [...COMMAND, "demo", "--driver", "local"]);
    await terminal.shows(/mounted over Thunderbolt\n[\s\S]*read in/);
    await terminal.key("f");
    await terminal.key("t");
    await terminal.shows(/hello\.txt {2}✗ No such file[\s\S]*✗ both hosts are gone/);
    await terminal.key("f");
    await terminal.shows(/mounted over Fallback\n[\s\S]*hello\.txt {2}"hello from the NAS/);
    await terminal.key("q");
    await isRestored(terminal, 0);
  });

  test("Ctrl-C gives the terminal back and leaves nothing behind", async (t) => {
    const { terminal, temporary } = await open(t, [...COMMAND, "demo", "--driver", "local"]);
    await terminal.shows(/mounted over Thunderbolt/);
    await terminal.key("C-c");
    await isRestored(terminal, 130);
    assert.deepEqual(await leftBehind(temporary), []);
  });

  test("SIGTERM gives the terminal back and leaves nothing behind", async (t) => {
    const { terminal, temporary, pid } = await open(t, [...COMMAND, "demo", "--driver", "local"]);
    await terminal.shows(/mounted over Thunderbolt/);
    await terminal.key("o");
    await terminal.shows(/open in tail/);
    process.kill(await pid(), "SIGTERM");
    await isRestored(terminal, 143);
    assert.deepEqual(await leftBehind(temporary), []);
  });

  test("a terminal that is closed ends the demo, and nothing is left", async (t) => {
    const { terminal, temporary, pid } = await open(t, [...COMMAND, "demo", "--driver", "local"]);
    await terminal.shows(/mounted over Thunderbolt/);
    process.kill(await pid(), "SIGHUP");
    await eventually(async () => (await leftBehind(temporary)).length === 0);
  });

  test("a crash gives the terminal back", async (t) => {
    const { terminal } = await open(t, [NODE, CRASH]);
    await terminal.shows(/the view is up/);
    await terminal.key("x");
    await isRestored(terminal, 1);
    assert.match(await terminal.screen(), /a key too much|Node\.js/);
  });

  test("another size is drawn anew, and a tiny one breaks nothing", async (t) => {
    const { terminal } = await open(t, [...COMMAND, "demo", "--driver", "local"], { width: 100, height: 30 });
    await terminal.shows(/mounted over Thunderbolt/);
    await terminal.resize(30, 5);
    await terminal.shows(/^ Mountaineer demo {2}plain folde?r?s?[\s\S]* t {2}f pull, plug/);
    await terminal.resize(80, 24);
    await terminal.shows(/t {2}Thunderbolt[\s\S]*mounted over Thunderbolt[\s\S]*q quit$/);
    await terminal.key("q");
    await isRestored(terminal, 0);
  });

  test("with --script, and on a terminal that can do nothing, it is the story and no view", async (t) => {
    for (const argv of [
      [...COMMAND, "demo", "--driver", "local", "--script"],
      ["env", "TERM=dumb", ...COMMAND, "demo", "--driver", "local"],
    ]) {
      const { terminal, temporary } = await open(t, argv, { width: 120, height: 30 });
      await terminal.shows(/✓ .*start the daemon/);
      assert.deepEqual(await terminal.modes(), { alternate: false, cursor: true });
      await terminal.key("C-c");
      await terminal.shows(/^exit 130$/m);
      assert.deepEqual(await leftBehind(temporary), []);
    }
  });
});
