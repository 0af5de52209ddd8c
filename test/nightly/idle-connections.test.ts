import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import path from "node:path";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { openListener } from "../../src/gateway/frontend/http/listener.ts";
import { noopLogger } from "../../src/runtime/log/log.ts";
import { systemClock } from "../../src/runtime/time/clock.ts";
import { sendWhileHandingOver } from "../mcp/idle-connections.ts";
import { eventually } from "../support/eventually.ts";

test("B11 through ten handovers every request on an idle connection is answered, and none is done twice", async () => {
  const end = await sendWhileHandingOver(10);
  assert.deepEqual(end, { sent: 400, lost: [], undone: [], twice: [] });
});

const TAKER = path.join(import.meta.dirname, "../gateway/frontend/http/fixtures/connection-taker.ts");
/** A server gives a new connection 15 s for its first request, and looks every 5 s. */
const LATE_MS = 22_000;

test("B11 a connection that was passed on may keep waiting: it is not treated as one whose request is late", async (t) => {
  const listener = await openListener({
    host: "127.0.0.1",
    port: 0,
    clock: systemClock,
    logger: noopLogger,
    handler: (_request, response) => void response.end("here"),
  });
  const child = fork(TAKER);
  t.after(() => child.kill("SIGKILL"));
  await once(child, "message");
  child.send("door", listener.handle as never);
  await once(child, "message");
  const socket = connect(listener.port, "127.0.0.1");
  t.after(() => socket.destroy());
  let text = "";
  socket.on("data", (chunk: Buffer) => {
    text += chunk.toString();
  });
  socket.write("GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n");
  await eventually(() => text.endsWith("here"));
  await listener.drain(20_000, async (handle) => {
    child.send("connection", handle as never);
    await once(child, "message");
    return "there";
  });
  text = "";
  await pause(LATE_MS);
  assert.equal(text, "");
  socket.write("GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n");
  await eventually(() => text !== "");
  assert.match(text, /^HTTP\/1\.1 200 OK/u);
});
