// `mountaineer logs` as a process: without a daemon, and where nothing may be read.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFile, chmod, mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { collect } from "../../support/collect.ts";
import { ends } from "../../support/ends.ts";
import { eventually } from "../../support/eventually.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { COMMAND, environmentOf, runCommand, startCommand } from "../command-line.ts";

function line(n: number, fields: Record<string, string> = {}): string {
  const time = new Date(Date.UTC(2026, 0, 2, 12, 0, n)).toISOString();
  return `${JSON.stringify({ time, level: "info", message: `event ${n}`, ...fields })}\n`;
}

async function scene(t: TestContext) {
  const home = join(await temporaryFolder(t), "home");
  await mkdir(home);
  await writeFile(
    join(home, "config.toml"),
    '[[shares]]\nname = "CORE"\nthunderbolt_path = "/tb"\nfallback_path = "/fb"\n',
  );
  const path = join(home, "mountaineer.log");
  return { home, path, run: (...args: readonly string[]) => runCommand(["logs", ...args], { home }) };
}

/** What a follower has printed so far. */
function follow(home: string, ...args: readonly string[]) {
  const running = startCommand(["logs", "-f", ...args], { home });
  let printed = "";
  running.child.stdout?.on("data", (chunk: string) => {
    printed += chunk;
  });
  return { ...running, until: (text: string) => eventually(() => printed.includes(text)) };
}

describe("logs", { concurrency: 2 }, () => {
  test("prints the newest lines, oldest first, and those before the rotation where it has too few", async (t) => {
    const { path, run } = await scene(t);
    await writeFile(`${path}.1`, line(1) + line(2));
    await writeFile(path, line(3, { share: "CORE" }));
    await ends(run("--lines", "2"), 0, /^\S+ \S+ +Event 2\n\S+ \S+ +CORE: Event 3\n$/, "");
    assert.equal((await run("--lines", "0")).stdout, "");
    assert.match((await run("--since", "2026-01-02T12:00:02Z")).stdout, /^\S+ \S+ +Event 2\n.*Event 3\n$/);
    assert.equal((await run("--lines", "-1")).code, 2);
    assert.match((await run("--lines", "many")).stderr, /whole number from 0/);
  });

  test("pin: --json gives the file's own lines", async (t) => {
    const { path, run } = await scene(t);
    await writeFile(path, line(1, { share: "CORE" }) + line(2));
    assert.equal((await run("--json")).stdout, line(1, { share: "CORE" }) + line(2));
  });

  test("E3 --json of any command sends a terminal no control and no invisible character, with the same content", async (t) => {
    const { home, path, run } = await scene(t);
    const odd = "\u009b31m\u007f\u202e\u200b\u{e0041}\u2028ä";
    await writeFile(path, `${line(1, { tool: odd })}${odd}\n`);
    const { stdout } = await ends(run("--json"), 0, /^[ -~\nä]*$/);
    const lines = stdout.trimEnd().split("\n");
    assert.deepEqual([JSON.parse(lines[0] ?? "").tool, JSON.parse(lines[1] ?? "").message], [odd, odd]);
    const name = "\u202eA\u200b\u{e0041}";
    const text = `[[shares]]\nname = "${name}"\nthunderbolt_path = "/tb"\nfallback_path = "/fb"\n`;
    await writeFile(join(home, "config.toml"), text);
    for (const command of ["shares list", "config show", "config get shares[0].name"]) {
      const shown = (await runCommand([...command.split(" "), "--json"], { home })).stdout;
      assert.match(shown, /^[ -~\n]*$/, command);
      assert.match(shown, /\\u202eA\\u200b\\udb40\\udc41/, command);
    }
  });

  test("--share selects one share, whatever its letter case, and knows removed ones", async (t) => {
    const { path, run } = await scene(t);
    await writeFile(path, line(1, { share: "CORE" }) + line(2, { share: "OLD" }) + line(3));
    assert.match((await run("--share", "core")).stdout, /^\S+ \S+ +CORE: Event 1\n$/);
    assert.match((await run("--share", "OLD")).stdout, /Event 2/);
    await ends(run("--share", "COER"), 2, null, /did you mean CORE\?/);
  });

  test("an empty log is not a failure, and neither is a broken configuration", async (t) => {
    const { home, path, run } = await scene(t);
    await ends(run(), 0, "", /nothing is logged yet in .*mountaineer\.log/);
    await writeFile(join(home, "config.toml"), "[broken\n");
    await writeFile(path, line(1, { share: "CORE" }));
    assert.match((await run("--share", "CORE")).stdout, /Event 1/);
  });

  test("-f continues over a rotation until Ctrl-C, which is not a failure", async (t) => {
    const { home, path } = await scene(t);
    await writeFile(path, line(1, { share: "CORE" }));
    const { child, ended, until } = follow(home, "--share", "CORE");
    await until("Event 1");
    await appendFile(path, line(2, { share: "MEDIA" }) + line(3, { share: "CORE" }));
    await until("Event 3");
    await rename(path, `${path}.1`);
    await writeFile(path, line(4, { share: "CORE" }));
    await until("Event 4");
    child.kill("SIGINT");
    const { stdout } = await ends(ended, 0, null, "");
    assert.ok(!stdout.includes("Event 2"));
  });

  test("-f ends when its output is no longer read", async (t) => {
    const { home, path } = await scene(t);
    await writeFile(path, line(1));
    const { child, ended, until } = follow(home);
    await until("Event 1");
    child.stdout?.destroy();
    const writing = setInterval(() => void appendFile(path, line(2)), 50);
    try {
      const [code] = await once(child, "exit");
      assert.equal(code, 0);
    } finally {
      clearInterval(writing);
      await ended.catch(() => {});
    }
  });
});

test("every command that needs the home reports that a user may not read it, and nothing hangs", {
  skip: process.getuid?.() === 0 ? false : "only root can start a command as somebody else",
}, async (t) => {
  const { home, path } = await scene(t);
  await writeFile(path, line(1));
  await chmod(home, 0o700);
  const [node = "", ...own] = COMMAND;
  const asNobody = async (args: readonly string[]) => {
    const child = spawn(node, [...own, ...args], {
      env: environmentOf({ home }),
      cwd: "/",
      uid: 65_534,
      gid: 65_534,
      stdio: ["ignore", "pipe", "pipe"],
      timeout: 100_000,
    });
    return collect(child).ended;
  };
  const share = ["--share", "CORE"];
  for (const args of [
    ["logs"],
    ["alias", "list"],
    ["alias", "add", "--name", "x", ...share, "--target-subpath", "x"],
    ["alias", "remove", "--name", "x"],
    ["shares", "list"],
    ["shares", "add", ...share, "--tb-host", "a", "--fallback-host", "b"],
    ["shares", "remove", ...share],
  ]) {
    const { code, stderr } = await asNobody(args);
    assert.ok(code !== 0 && code !== null && code !== 70, `${args.join(" ")}: ${code} ${stderr}`);
    assert.match(stderr, /permission|EACCES|may not|cannot (use|read|be read)/i, args.join(" "));
    assert.match(stderr, /^ {2}hint: \S/m, args.join(" "));
  }
});
