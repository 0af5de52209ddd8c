// What keeps a process from ending, asked of a real one.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { describe, test } from "node:test";
import { keptAliveBy, reportedHandles, reportOptions } from "../../scripts/kept-alive.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const LISTENS = 'require("node:net").createServer().listen(0, "127.0.0.1", () => console.log("listens"))';

describe("what keeps a test's process alive", () => {
  test("is told by the process itself: here a port that was not closed", async (t) => {
    const reportPath = join(await temporaryFolder(t), "report.json");
    const child = spawn(process.execPath, [...reportOptions(reportPath), "-e", LISTENS], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    const ended = once(child, "exit");
    t.after(async () => {
      child.kill("SIGKILL");
      await ended;
    });
    await once(child.stdout, "data");
    assert.ok(child.pid !== undefined);
    const lines = await keptAliveBy(child.pid, reportPath);
    assert.ok(
      lines.some((line) => line.includes('"type":"tcp"') && line.includes("127.0.0.1")),
      lines.join("\n"),
    );
  });

  test("is nothing when the process has ended", async (t) => {
    const child = spawn(process.execPath, ["-e", ""], { stdio: "ignore" });
    await once(child, "exit");
    assert.ok(child.pid !== undefined);
    assert.deepEqual(await keptAliveBy(child.pid, join(await temporaryFolder(t), "report.json")), []);
  });

  test("is not read from half a report", () => {
    assert.equal(reportedHandles('{"libuv": [{"type": "tcp", '), null);
  });
});
