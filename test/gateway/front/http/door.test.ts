// A full door: which connection gives way.
import assert from "node:assert/strict";
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { connect, type Socket } from "node:net";
import { describe, it } from "node:test";
import { type Listener, openListener } from "../../../../src/gateway/front/http/listener.ts";
import { silentLogger } from "../../../../src/runtime/log/log.ts";
import { eventually } from "../../../support/eventually.ts";
import { createManualClock } from "../../../support/manual-clock.ts";

const REQUEST = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

async function startDoor(connectionLimit: number) {
  const clock = createManualClock();
  const responses: ServerResponse<IncomingMessage>[] = [];
  const listener = await openListener({
    host: "127.0.0.1",
    port: 0,
    clock,
    logger: silentLogger,
    connectionLimit,
    handler: (request, response) => {
      responses.push(response);
      if (request.url === "/") response.end("here");
    },
  });
  const opened: Socket[] = [];
  const open = async (text = ""): Promise<Socket> => {
    const before = listener.connections;
    const socket = connect(listener.port, "127.0.0.1").resume();
    socket.on("error", () => {});
    opened.push(socket);
    await once(socket, "connect");
    if (text !== "") socket.write(text);
    if (before < connectionLimit) await eventually(() => listener.connections > before);
    return socket;
  };
  return {
    clock,
    responses,
    open,
    listener,
    async [Symbol.asyncDispose]() {
      for (const socket of opened) socket.destroy();
      await listener.close(0);
    },
  };
}

const hasEnded = (socket: Socket): boolean => socket.closed || socket.readableEnded;

async function answered(listener: Listener): Promise<string> {
  const socket = connect(listener.port, "127.0.0.1");
  socket.on("error", () => {});
  socket.write(REQUEST);
  const [chunk] = (await Promise.race([once(socket, "data"), once(socket, "close")])) as [unknown];
  socket.destroy();
  return String(chunk);
}

describe("E4 a full door", () => {
  it("drops the oldest connection that has sent nothing, and lets the newcomer in", async () => {
    await using door = await startDoor(3);
    const talks = await door.open("GET /held HTTP/1.1\r\nHost: x\r\n\r\n");
    await eventually(() => door.responses.length === 1);
    const older = await door.open();
    const newer = await door.open();
    assert.match(await answered(door.listener), /200 OK/);
    await eventually(() => hasEnded(older));
    assert.deepEqual([hasEnded(talks), hasEnded(newer)], [false, false]);
  });

  it("drops a request that comes too slowly, but only after a while", async () => {
    await using door = await startDoor(2);
    const head = await door.open("GET / HTTP/1.1\r\nHo");
    const body = await door.open("POST /held HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nx");
    await eventually(() => door.responses.length === 1);
    assert.doesNotMatch(await answered(door.listener), /200/);
    await door.clock.advance(5_000);
    assert.match(await answered(door.listener), /200 OK/);
    await eventually(() => hasEnded(head));
    assert.equal(hasEnded(body), false);
    const last = await door.open(REQUEST);
    await eventually(() => hasEnded(body) || hasEnded(last));
    assert.deepEqual([hasEnded(body), hasEnded(last)], [true, false]);
  });

  it("drops the kept connection whose last request is longest ago, and none that waits for an answer", async () => {
    await using door = await startDoor(3);
    const held = await door.open("GET /held HTTP/1.1\r\nHost: x\r\n\r\n");
    await eventually(() => door.responses.length === 1);
    const first = await door.open(REQUEST);
    await eventually(() => door.responses.length === 2);
    await door.clock.advance(500);
    const second = await door.open(REQUEST);
    await eventually(() => door.responses.length === 3);
    assert.doesNotMatch(await answered(door.listener), /200/, "both were used a moment ago");
    await door.clock.advance(1_000);
    assert.match(await answered(door.listener), /200 OK/);
    await eventually(() => hasEnded(first));
    assert.deepEqual([hasEnded(held), hasEnded(second)], [false, false]);
  });

  it("two thousand idle connections keep nobody out", async () => {
    await using door = await startDoor(2_048);
    await Promise.all(Array.from({ length: 2_060 }, () => door.open()));
    for (let count = 0; count < 20; count++) assert.match(await answered(door.listener), /200 OK/);
    assert.ok(door.listener.connections <= 2_048);
  });
});
