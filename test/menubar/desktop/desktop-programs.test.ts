import assert from "node:assert/strict";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { createDesktopPrograms } from "../../../src/menubar/desktop/desktop-programs.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const NEVER = new AbortController().signal;

/** Programs that note their arguments, one in a line. */
async function placeOf(t: TestContext, scripts: Readonly<Record<string, string>>) {
  const folder = await temporaryFolder(t);
  for (const [name, body] of Object.entries(scripts)) {
    const path = join(folder, name);
    await writeFile(
      path,
      `#!/bin/sh\nfor word; do printf '%s\\n' "$word"; done > '${folder}/told'\n${body}\n`,
    );
    await chmod(path, 0o755);
  }
  return folder;
}

function programsOf(folder: string) {
  return createDesktopPrograms({
    home: folder,
    program: [join(folder, "mountaineer")],
    configPath: null,
    opener: join(folder, "opener"),
    environment: { PATH: "/usr/bin:/bin" },
    clock: systemClock,
  });
}

test("F2 the dashboard is opened as mountaineer open does; a failure is reported with its reason", async (t) => {
  const folder = await placeOf(t, { mountaineer: "exit 0" });
  await programsOf(folder).openDashboard(NEVER);
  assert.equal(await readFile(join(folder, "told"), "utf8"), "open\n");
  const refusing = await placeOf(t, { mountaineer: "echo 'mountaineer: no daemon runs' >&2; exit 8" });
  await assert.rejects(programsOf(refusing).openDashboard(NEVER), {
    code: "program_unavailable",
    message: "no daemon runs",
    hint: "in a terminal: mountaineer open",
  });
});

test("a path is opened by a program that may keep running, and one that refuses is reported", async (t) => {
  const folder = await placeOf(t, { opener: "exit 0" });
  await programsOf(folder).openPath("/s/a b");
  assert.equal(await readFile(join(folder, "told"), "utf8"), "/s/a b\n");
  const refusing = await placeOf(t, { opener: "exit 4" });
  await assert.rejects(programsOf(refusing).openPath("/s"), {
    code: "program_unavailable",
    message: /exit code 4/,
  });
  const none = await placeOf(t, {});
  await mkdir(join(none, "x"));
  await assert.rejects(programsOf(none).openPath("/s"), { code: "program_unavailable" });
});

test("a daemon that cannot be started at all is reported", async (t) => {
  const folder = await placeOf(t, {});
  await assert.rejects(programsOf(folder).startDaemon(NEVER), { code: "program_unavailable" });
});
