// Each test file is in the suite that its rigs say.
import assert from "node:assert/strict";
import { access } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { NAMED_FILES, startsCommands, suitesOf } from "../../scripts/test-suites.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");
const SOURCES = new Map([
  ["test/support/daemon.ts", 'const launcher = "../../bin/mountaineer"; export { startMonitor };'],
  ["test/rig.ts", `import {\n  createTestHome,\n} from "./support/daemon.ts";\nhome${"."}startMonitor();`],
  ["test/of-commands.test.ts", 'import { createTestHome } from "./support/daemon.ts";'],
  ["test/of-a-daemon.test.ts", 'import {\n  rig,\n} from "./rig.ts";'],
  ["test/of-its-types.test.ts", 'import type { Rig } from "./rig.ts";'],
  ["test/of-a-terminal.test.ts", 'import "./tui/terminal.ts";'],
  ["test/smoke/daemon.test.ts", 'import { rig } from "../rig.ts";'],
  ["test/lab/alone.test.ts", ""],
  ["test/nightly/daemon.test.ts", 'import { rig } from "../rig.ts";'],
]);

test("a daemon or a terminal makes a story for the lab, but for the smoke stories", () => {
  assert.deepEqual(Object.fromEntries(suitesOf(SOURCES)), {
    "test/of-commands.test.ts": "unit",
    "test/of-a-daemon.test.ts": "lab",
    "test/of-its-types.test.ts": "unit",
    "test/of-a-terminal.test.ts": "lab",
    "test/smoke/daemon.test.ts": "unit",
    "test/lab/alone.test.ts": "lab",
    "test/nightly/daemon.test.ts": "nightly",
  });
});

test("what loads the rig of commands starts commands", () => {
  assert.equal(startsCommands("test/of-commands.test.ts", SOURCES), true);
  assert.equal(startsCommands("test/of-its-types.test.ts", SOURCES), false);
});

test("the rigs and files that the rules name exist", async () => {
  for (const file of NAMED_FILES) await access(path.join(ROOT, file));
});
