// `mountaineer why`, for real shares and servers of one daemon: each cause in one command.
import assert from "node:assert/strict";
import { rename } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { Why } from "../../../src/api/labels/why.ts";
import { liveHome } from "../../live/live-home.ts";
import { LIGHT_SERVER } from "../../mcp/fixture-programs.ts";
import { SETTLES_MS } from "../../mcp/gateway-rig.ts";
import { ends } from "../../support/ends.ts";
import { eventually } from "../../support/eventually.ts";
import { freePort } from "../../support/free-port.ts";

test("F7 one command names the cause: fallback, a person, sleep, failure and missing data", async (t) => {
  const home = await liveHome(t);
  const program = (name: string, more = ""): string =>
    `[backends.${name}]\ncommand = ${JSON.stringify(process.execPath)}\nargs = [${JSON.stringify(LIGHT_SERVER)}]\n${more}\n`;
  const text = [
    await home.text(["CORE", "MEDIA"], {
      global: "auto_failback = false\nlsof_recheck = false\nauto_failback_stable_secs = 1",
    }),
    `[server]\nport = ${await freePort()}`,
    program("sleeper", 'start = "on-demand"\nstop_when_idle = 1'),
    program("archive", 'requires = ["MEDIA"]'),
    program("off", "enabled = false"),
    '[backends.broken]\ncommand = "sh"\nargs = ["-c", "echo no such database >&2; exit 3"]',
    `[backends.nobody]\nurl = "http://127.0.0.1:${await freePort()}/mcp"`,
  ].join("\n");
  await home.writeConfig(text);
  await home.start();
  await home.untilMounted("CORE", "MEDIA");

  const why = async (name: string): Promise<Why> => {
    const { stdout } = await ends(home.cli(["why", name, "--json"]), 0);
    const [one]: readonly Why[] = JSON.parse(stdout);
    return one ?? assert.fail(stdout);
  };
  const untilWhy = async (name: string, rule: string, reason: RegExp): Promise<void> => {
    let last: Why | null = null;
    try {
      await eventually(async () => {
        last = await why(name);
        const passed = [last, ...last.passed_over].find((one) => one.rule === rule);
        return passed !== undefined && reason.test(passed.why);
      }, SETTLES_MS);
    } catch (error) {
      throw new Error(`${name}: ${JSON.stringify(last)}`, { cause: error });
    }
  };

  await untilWhy("CORE", "keep the mount", /CORE-tb is in use, and the mount answers/);
  await untilWhy("sleeper", "sleep", /starts when it is needed/);
  await untilWhy("sleeper", "start", /a call starts it/);
  await untilWhy("off", "stay off", /disabled/);
  await untilWhy("broken", "start", /no such database/);
  await untilWhy("nobody", "wait for the next try", /nothing listens there/);

  await rename(join(home.folder, "CORE-tb"), join(home.folder, "away"));
  await untilWhy("CORE", "return to the preferred route", /CORE-tb does not answer/);
  await rename(join(home.folder, "away"), join(home.folder, "CORE-tb"));
  await untilWhy(
    "CORE",
    "return to the preferred route",
    /waiting for you to switch: auto_failback and lsof_recheck are off/,
  );
  await home.cli(["switch", "--share", "CORE", "--to", "fallback"]);
  await untilWhy(
    "CORE",
    "return to the preferred route",
    /you asked for fallback; `mountaineer switch --to auto`/,
  );
  await home.cli(["unmount", "--share", "MEDIA"]);
  await untilWhy("MEDIA", "stay unmounted", /`mountaineer mount` ends that/);
  await untilWhy("archive", "hide its tools", /MEDIA.* unmounted by hand/);

  const human = await home.cli(["why", "CORE"]);
  assert.match(human.stdout, /^CORE \(share\) {2}mounted over Fallback.*\n {2}keep the mount: /);
  await ends(home.cli(["why", "COER"]), 2, null, /no share or server named "COER"\n.*did you mean CORE\?/);
});

test("F7 without a daemon it says what would be decided, and that nothing acts", async (t) => {
  const home = await liveHome(t);
  await home.writeConfig(await home.text(["CORE"]));
  const { code, stdout, stderr } = await home.cli(["why", "CORE"]);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^CORE \(share\) {2}not mounted\n[\s\S]*No daemon runs: .* nothing acts on it/);
});
