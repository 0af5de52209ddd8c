import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { firstStart } from "../../../src/cli/init/first-start.ts";
import { findPlace } from "../../../src/config/locate.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

test("what a daemon would begin with names shares, backends, middleware, and the settings that are not defaults", async (t) => {
  const home = await temporaryFolder(t);
  const text = [
    "[sync]",
    "debounce = 0.5",
    "[server]",
    "port = 9100",
    "[backends.files]",
    'command = "x"',
    "[[shares]]",
    'name = "CORE"',
    'thunderbolt_host = "10.0.0.2"',
    'fallback_host = "10.0.0.3"',
    "",
  ].join("\n");
  const report = await firstStart({
    daemon: null,
    place: findPlace({ HOME: home, MOUNTAINEER_HOME: home }),
    path: join(home, "config.toml"),
    format: "toml",
    read: async () => Buffer.from(text),
    ask: () => Promise.reject(new Error("nothing is asked")),
  });
  assert.deepEqual(report.errors, []);
  assert.deepEqual(
    [report.settings, report.shares.added, report.backends.added, report.middleware, report.summary],
    [["sync.debounce", "server.port"], ["CORE"], ["files"], [], "1 share, 1 backend to start"],
  );
});
