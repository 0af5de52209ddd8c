import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { openHeldRoutes } from "../../../src/daemon/compose/held-routes.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const FILE = "held-routes.json";

for (const [what, text, known] of [
  ["half a file", '{"files": "lan', null],
  ["a list", '["files"]', null],
  ["a file with something else beside a route", '{"files": "lan", "web": {"route": 1}}', "lan"],
] as const) {
  test(`A5 C2 ${what} is set aside and named, and never written over`, async (t) => {
    const home = await temporaryFolder(t);
    const path = join(home, FILE);
    await writeFile(path, text);
    const logger = createRecordingLogger();
    let isOurs = false;
    const clock = createManualClock();
    const routes = openHeldRoutes({ home, clock, logger, mayWrite: () => isOurs });
    assert.equal(routes.get("files"), known);
    routes.keep("mail", "remote");
    await routes.flush();
    assert.equal(await readFile(path, "utf8"), text, "while the home is another one's nothing changes there");

    isOurs = true;
    await routes.flush();
    const aside = (await readdir(home)).filter((name) => name.startsWith(`${FILE}.corrupt-`));
    assert.equal(aside.length, 1);
    assert.equal(await readFile(join(home, aside[0] ?? ""), "utf8"), text);
    const told = logger.lines.filter(({ message }) => message === "the file of held routes was set aside");
    assert.equal(told.length, 1);
    const expected = known === null ? { mail: "remote" } : { files: known, mail: "remote" };
    assert.deepEqual(JSON.parse(await readFile(path, "utf8")), expected);
  });
}

test("A5 C2 a file that cannot be used makes way also when nothing is to be written", async (t) => {
  const home = await temporaryFolder(t);
  await writeFile(join(home, FILE), "");
  const logger = createRecordingLogger();
  const clock = createManualClock();
  const routes = openHeldRoutes({ home, clock, logger, mayWrite: () => true });
  await routes.flush();
  const names = await readdir(home);
  assert.equal(names.length, 1);
  assert.match(names[0] ?? "", /^held-routes\.json\.corrupt-/);
});
