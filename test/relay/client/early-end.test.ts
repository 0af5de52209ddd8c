// A carrier that dies, or says nonsense, in the moment in which it greets: the daemon goes on, and connects to the next.
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { connectRelay } from "../../../src/relay/client/relay-client.ts";
import { formatLine, PROTOCOL_VERSION } from "../../../src/relay/control/control-messages.ts";
import { listenForControl } from "../../../src/relay/control/control-socket.ts";
import { jsonObject } from "../../../src/runtime/text/json-object.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { eventually } from "../../support/eventually.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { openRequest, signal } from "../carrier-bench.ts";
import { startFakeNas } from "../fake-nas.ts";

const HELLO = formatLine({ hello: { protocol: PROTOCOL_VERSION, program: "0123456789abcdef" } });

test("A10 a relay that ends at the moment of its greeting is tried again, and nothing crashes with it", async (t) => {
  const home = join(await temporaryFolder(t), "home");
  await mkdir(join(home, "carrier"), { recursive: true });
  let greeted = 0;
  const server = createServer((socket) => {
    greeted += 1;
    socket.on("error", () => {});
    // Its end lies in the same piece as its greeting.
    socket.end(greeted <= 2 ? `${HELLO}this is no message\n` : HELLO);
  });
  const stopListening = await listenForControl(server, home);
  t.after(async () => {
    server.close();
    await stopListening();
  });
  const carrier = connectRelay({ home, clock: systemClock, logger: createRecordingLogger() });
  t.after(() => carrier[Symbol.asyncDispose]());
  await eventually(() => greeted >= 3);
  assert.deepEqual([...carrier.shares], []);
});

test("A10 a failing listener is logged, and does not keep notices from the others", async (t) => {
  const home = join(await temporaryFolder(t), "home");
  await mkdir(join(home, "carrier"), { recursive: true });
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.write(`${HELLO}${formatLine({ push: "notice", notice: { share: "data", what: "stalled" } })}`);
  });
  const stopListening = await listenForControl(server, home);
  const logger = createRecordingLogger();
  const carrier = connectRelay({ home, clock: systemClock, logger });
  t.after(async () => {
    await carrier[Symbol.asyncDispose]();
    server.close();
    await stopListening();
  });
  const heard: string[] = [];
  carrier.onNotice(() => {
    throw new Error("no room");
  });
  carrier.onNotice(({ share, what }) => void heard.push(`${share} ${what}`));
  await eventually(() => heard.length > 0);
  assert.deepEqual(heard, ["data stalled"]);
  const [line] = logger.lines.filter(({ level }) => level === "error");
  assert.deepEqual(line?.fields, { error: "no room" });
});

test("A10 a share is requested from the next relay when one is just ending, three times at most", async (t) => {
  const home = join(await temporaryFolder(t), "home");
  await mkdir(join(home, "carrier"), { recursive: true });
  let asked = 0;
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.write(HELLO);
    socket.on("data", (bytes) => {
      for (const line of String(bytes).trim().split("\n")) {
        const { id, do: operation } = jsonObject(line) ?? {};
        if (operation !== "open") continue;
        asked += 1;
        socket.write(formatLine({ id, ok: false, code: "program_unavailable", message: "it is ending" }));
      }
    });
  });
  const stopListening = await listenForControl(server, home);
  const carrier = connectRelay({ home, clock: systemClock, logger: createRecordingLogger() });
  t.after(async () => {
    await carrier[Symbol.asyncDispose]();
    server.close();
    await stopListening();
  });
  await using nas = await startFakeNas();
  await assert.rejects(carrier.open(openRequest("CORE", nas), signal), { code: "program_unavailable" });
  assert.equal(asked, 3);
});
