import assert from "node:assert/strict";
import { test } from "node:test";
import { logLevel } from "../../../src/daemon/compose/log-level.ts";
import { logFilePath } from "../../../src/daemon/compose/log-path.ts";

const place = { home: "/home/ada/.mountaineer", userHome: "/home/ada" } as const;

const CASES: readonly [environment: Record<string, string>, platform: NodeJS.Platform, path: string][] = [
  [{}, "linux", "/home/ada/.local/state/mountaineer/mountaineer.log"],
  [{ XDG_STATE_HOME: "" }, "linux", "/home/ada/.local/state/mountaineer/mountaineer.log"],
  [{ XDG_STATE_HOME: "/var/ada" }, "linux", "/var/ada/mountaineer/mountaineer.log"],
  [{}, "darwin", "/home/ada/Library/Logs/mountaineer.log"],
  [{ XDG_STATE_HOME: "/var/ada" }, "darwin", "/home/ada/Library/Logs/mountaineer.log"],
  [{ MOUNTAINEER_HOME: "/home/ada/.mountaineer" }, "linux", "/home/ada/.mountaineer/mountaineer.log"],
  [{ MOUNTAINEER_HOME: "/home/ada/.mountaineer" }, "darwin", "/home/ada/.mountaineer/mountaineer.log"],
  [{ MOUNTAINEER_HOME: "" }, "linux", "/home/ada/.local/state/mountaineer/mountaineer.log"],
];

for (const [environment, platform, path] of CASES) {
  test(`A9 the log on ${platform} with ${JSON.stringify(environment)} is ${path}`, () => {
    assert.equal(logFilePath({ ...place, environment, platform }), path);
  });
}

for (const [wanted, level] of [
  [undefined, "info"],
  ["", "info"],
  ["debug", "debug"],
  ["DEBUG", "debug"],
  ["info", "info"],
  ["warn", "warn"],
  ["error", "error"],
  ["trace", "info"],
  [" debug", "info"],
] as const) {
  test(`MOUNTAINEER_LOG=${wanted ?? "(unset)"} logs from ${level} up`, () => {
    assert.equal(logLevel(wanted === undefined ? {} : { MOUNTAINEER_LOG: wanted }), level);
  });
}
