// A daemon that may have few descriptors, as on macOS, and more clients than that.
import assert from "node:assert/strict";
import { connect } from "node:net";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { connectLight } from "../mcp/light-client.ts";
import { createTestHome } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const TOOLS_SERVER = resolve(import.meta.dirname, "../docs/programs/tools-server.mjs");
const DESCRIPTORS = 256;
const CLIENTS = 400;

test("E4 a daemon that may have 256 descriptors closes what is too much of 400 silent connections, and does all else", async (t) => {
  const port = await freePort();
  const text = (greeting: string): string =>
    `[server]\nport = ${port}\n[scripts]\nenabled = true\n[backends.tools]\ncommand = ${JSON.stringify(process.execPath)}\n` +
    `args = [${JSON.stringify(TOOLS_SERVER)}]\nenv = { GREETING = "${greeting}" }\n`;
  const enter = ["/bin/sh", "-c", `ulimit -n ${DESCRIPTORS}; exec "$@"`, "sh"];
  const home = await createTestHome({
    home: join(await temporaryFolder(t), "home"),
    config: text("one"),
    enter,
  });
  await using monitor = await home.startMonitor();
  const backend = async () => (await home.glance())?.backends?.find(({ phase }) => phase === "Ready");
  const first = await eventually(backend);

  let closed = 0;
  const silent = Array.from({ length: CLIENTS }, () =>
    connect(port, "127.0.0.1")
      .on("error", () => {})
      .on("close", () => {
        closed += 1;
      }),
  );
  t.after(() => silent.forEach((socket) => void socket.destroy()));
  await eventually(() => closed >= CLIENTS - DESCRIPTORS / 2);

  process.kill(first.pid ?? assert.fail());
  const second = await eventually(async () => {
    const found = await backend();
    return found?.pid !== first.pid && found;
  });
  await home.writeConfig(text("two"));
  const reload = await home.cli(["reload"]);
  assert.equal(reload.code, 0, reload.stderr);
  await eventually(async () => (await backend())?.pid !== second.pid);
  const client = await connectLight(`http://127.0.0.1:${port}/mcp`);
  assert.equal(await client.call("echo", { message: "here" }), "here");
  assert.match(await client.call("run_script", { script: "return 6 * 7" }), /42/);
  await client[Symbol.asyncDispose]();
  assert.equal(silent.filter((socket) => !socket.destroyed).length > 0, true, "some may stay");
  assert.equal((await home.glance())?.global.pid, monitor.pid);
});
