import assert from "node:assert/strict";
import { once } from "node:events";
import { duplexPair } from "node:stream";
import { describe, it } from "node:test";
import { OWNER } from "../../../../src/gateway/client-port.ts";
import { LinesFront } from "../../../../src/gateway/front/stdio/lines.ts";
import { silentLogger } from "../../../../src/runtime/log/log.ts";
import { systemClock } from "../../../../src/runtime/time/clock.ts";
import { eventually } from "../../../support/eventually.ts";
import { callMessage, createModern, initializeMessage } from "../http/http-rig.ts";
import { createHeldTool, createScriptedGateway, objectOf, onlySession, text } from "../scripted-gateway.ts";
import { startLine } from "./line-rig.ts";

describe("a stream of lines", () => {
  it("is one session of the owner, told of changes on the same stream", async () => {
    const gateway = createScriptedGateway();
    await using line = startLine(gateway);
    line.send(initializeMessage("2025-06-18"), { jsonrpc: "2.0", method: "notifications/initialized" });
    line.send(callMessage("a", "echo", { x: 1 }));
    const [begun, answer] = await line.expect(2);
    assert.equal(objectOf(begun?.["result"])["protocolVersion"], "2025-06-18");
    assert.deepEqual(answer, { jsonrpc: "2.0", id: "a", ...text('{"x":1}') });
    const session = onlySession(gateway);
    assert.equal(session.principal, OWNER);
    session.listChanged("tools");
    assert.deepEqual((await line.expect(3))[2], {
      jsonrpc: "2.0",
      method: "notifications/tools/list_changed",
    });
    line.client.end();
    await line.front.closed;
    assert.deepEqual([session.ended.aborted, gateway.sessions.size], [true, 0]);
  });

  it("asks and cancels on it, and a cancelled call gets no answer", async () => {
    const held = createHeldTool();
    const gateway = createScriptedGateway({
      held: held.tool,
      async ask({ port, signal }) {
        return text(JSON.stringify(await port.request("roots/list", undefined, signal)));
      },
    });
    await using line = startLine(gateway);
    line.send(initializeMessage(), callMessage(1, "held"), callMessage(2, "ask"));
    const question = (await line.expect(2))[1];
    assert.equal(question?.["method"], "roots/list");
    line.send({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 1 } });
    line.send({ jsonrpc: "2.0", id: question["id"], result: { roots: [] } });
    const answers = await line.expect(3);
    assert.equal(answers[2]?.["id"], 2);
    assert.match(JSON.stringify(answers[2]), /roots/);
    assert.equal(held.started[0]?.signal.aborted, true);
    line.send({ jsonrpc: "2.0", id: 3, method: "ping" });
    assert.equal((await line.expect(4))[3]?.["id"], 3);
  });

  it("answers garbage, long lines and early requests, and goes on", async () => {
    await using line = startLine(createScriptedGateway(), 2_000);
    line.client.write(Buffer.from([0xff, 0xfe, 0x0a]));
    line.client.write("{\n\n\r\n");
    line.client.write(`${"x".repeat(5_000)}\n`);
    line.send([], { jsonrpc: "2.0", id: 4, method: 5 }, callMessage(5, "early"));
    line.send(
      { jsonrpc: "2.0", id: 6, method: "server/discover" },
      { jsonrpc: "2.0", id: 7, method: "ping" },
    );
    line.client.write(JSON.stringify(initializeMessage()));
    line.client.write("\r\n");
    const answers = await line.expect(9);
    assert.deepEqual(
      answers.map(({ id, error }) => [id, error === undefined ? null : objectOf(error)["code"]]),
      [
        [null, -32700],
        [null, -32700],
        [null, -32600],
        [null, -32600],
        [4, -32600],
        [5, -32600],
        [6, -32602],
        [7, null],
        [0, null],
      ],
    );
  });

  it("takes a line in many pieces, cut inside of characters", async () => {
    await using line = startLine(createScriptedGateway());
    line.send(initializeMessage());
    const bytes = Buffer.from(`${JSON.stringify(callMessage(1, "echo", { x: "häß€😀" }))}\n`);
    for (const byte of bytes) line.client.write(Buffer.from([byte]));
    assert.match(JSON.stringify((await line.expect(2))[1]), /häß€😀/);
  });

  it("has batches in the version that had them", async () => {
    const gateway = createScriptedGateway();
    await using line = startLine(gateway);
    line.send(initializeMessage("2025-03-26"));
    line.send([
      callMessage(1, "x"),
      7,
      { jsonrpc: "2.0", method: "notifications/other" },
      callMessage(2, "x"),
    ]);
    await eventually(() => line.received.length === 2);
    const [, answers = []] = line.received as unknown as { id: unknown }[][];
    assert.deepEqual(
      answers.map(({ id }) => id),
      [null, 1, 2],
    );
    assert.equal(gateway.heard.length, 1);
    line.send([7, { jsonrpc: "2.0", id: 3, method: 5 }], []);
    await eventually(() => line.received.length === 4);
    const [errors, refused] = line.received.slice(2);
    assert.deepEqual(
      (errors as unknown as { id: unknown; error: { code: number } }[]).map(({ id, error }) => [
        id,
        error.code,
      ]),
      [
        [null, -32600],
        [3, -32600],
      ],
    );
    assert.deepEqual(objectOf(objectOf(refused)["error"])["code"], -32600);
  });

  it("settles a question with an error by an answer in a batch that is none", async () => {
    const gateway = createScriptedGateway();
    await using line = startLine(gateway);
    line.send(initializeMessage("2025-03-26"));
    await line.expect(1);
    const asked = onlySession(gateway).request("roots/list", undefined, new AbortController().signal);
    const [, question] = await line.expect(2);
    line.send([{ jsonrpc: "2.0", id: question?.["id"], result: null }]);
    assert.match(JSON.stringify(await asked), /no JSON-RPC response/);
  });

  it("answers what is in flight to a client that says no more, then ends", async () => {
    const held = createHeldTool();
    const gateway = createScriptedGateway({ held: held.tool });
    await using line = startLine(gateway);
    line.send(initializeMessage(), callMessage(1, "held"));
    line.client.end();
    await eventually(() => held.started.length === 1);
    held.release(text("late"));
    assert.match(JSON.stringify((await line.expect(2))[1]), /late/);
    await line.front.closed;
    assert.equal(gateway.sessions.size, 0);
  });

  it("answers a last request that lacks its line's end", async () => {
    await using line = startLine(createScriptedGateway());
    line.client.write(`${JSON.stringify(initializeMessage())}\n${JSON.stringify(callMessage(2, "echo"))}`);
    line.client.end();
    const [, answer] = await line.expect(2);
    assert.equal(answer?.["id"], 2);
    await line.front.closed;
  });

  it("asks nothing of a client that says no more", async () => {
    const gateway = createScriptedGateway({
      async ask({ port, signal }) {
        const first = await port.request("roots/list", undefined, signal);
        const second = await port.request("roots/list", undefined, signal);
        return text(JSON.stringify([first, second]));
      },
    });
    await using line = startLine(gateway);
    line.send(initializeMessage(), callMessage(1, "ask"));
    await line.expect(2);
    line.client.end();
    const [, question, answer] = await line.expect(3);
    assert.equal(question?.["method"], "roots/list");
    assert.match(JSON.stringify(answer), /says no more.*says no more/);
    await line.front.closed;
  });

  it("aborts what is in flight when the stream is destroyed", async () => {
    const held = createHeldTool();
    const gateway = createScriptedGateway({ held: held.tool });
    await using line = startLine(gateway);
    line.send(initializeMessage(), callMessage(1, "held"));
    await eventually(() => held.started.length === 1);
    line.stream.destroy();
    await line.front.closed;
    assert.deepEqual([held.started[0]?.signal.aborted, line.front.sessions], [true, 0]);
  });

  it("does not read who does not read its answers", async () => {
    const large = "x".repeat(512 * 1024);
    const gateway = createScriptedGateway({ large: async () => text(large) });
    const [client, stream] = duplexPair({ highWaterMark: 1024 });
    const clock = systemClock;
    const modern = createModern(gateway);
    const options = {
      gateway,
      modern,
      clock,
      logger: silentLogger,
      principal: OWNER,
      bodyLimitBytes: () => 1e6,
    };
    await using front = new LinesFront(stream, options);
    client.write(`${JSON.stringify(initializeMessage())}\n`);
    for (let id = 1; id <= 50; id++) {
      client.write(`${JSON.stringify(callMessage(id, "large"))}\n`);
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.ok(gateway.requests.length < 20, `${gateway.requests.length} were taken`);
    let bytes = 0;
    client.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
    });
    await eventually(() => gateway.requests.length === 50 && bytes > 50 * large.length);
    assert.equal(front.inFlight, 0);
  });

  it("stops within its grace, with the answers written", async () => {
    const held = createHeldTool();
    const line = startLine(createScriptedGateway({ held: held.tool }));
    line.send(initializeMessage(), callMessage(1, "held"));
    await eventually(() => held.started.length === 1);
    const stopped = line.front.stop(60_000);
    line.send(callMessage(2, "late"));
    assert.match(JSON.stringify((await line.expect(2))[1]), /is stopping/);
    held.release(text("in time"));
    await stopped;
    assert.match(JSON.stringify(line.received[2]), /in time/);
    if (!line.stream.closed) await once(line.stream, "close");
  });

  it("says that the gateway stops to what is in flight when its grace is over", async () => {
    const held = createHeldTool();
    const line = startLine(createScriptedGateway({ held: held.tool }));
    line.send(initializeMessage(), callMessage(1, "held"));
    await eventually(() => held.started.length === 1);
    await line.front.stop(0);
    assert.match(JSON.stringify((await line.expect(2))[1]), /the gateway is stopping/);
  });
});
