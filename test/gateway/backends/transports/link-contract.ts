// What every backend transport must do: one suite, run on each of them.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { OpenTransport } from "../../../../src/gateway/backends/transports/backend-transport.ts";
import { isJsonObject } from "../../../../src/gateway/json-rpc.ts";
import { parseExactly } from "../../../../src/runtime/text/exact-json.ts";
import { assertEach } from "../../../support/assert-each.ts";
import { eventually } from "../../../support/eventually.ts";
import { openRecorded, type RecordedLink } from "./link-recorder.ts";

export interface LinkUnderTest {
  readonly name: string;
  /** A way to the echo server; a new server each time. */
  readonly echo: (t: TestContext) => Promise<OpenTransport>;
  /** A way to nothing. */
  readonly nothing: (t: TestContext) => Promise<OpenTransport>;
  /** Messages within one request's answer say which request's stream they came on. */
  readonly tellsStream: boolean;
}

/** Registers the suite's tests. */
export function testLinkContract({ name, echo, nothing, tellsStream }: LinkUnderTest): void {
  const opened = async (t: TestContext): Promise<RecordedLink> => {
    const recorded = openRecorded(await echo(t));
    t.after(() => recorded.link.close());
    await recorded.initialize();
    return recorded;
  };

  test(`${name}: a request is answered, with any characters and in parallel`, async (t) => {
    const recorded = await opened(t);
    const texts = ["ü€😀", "a\nb\r\nc\u2028d", "\0", "x".repeat(100_000)];
    const answers = await Promise.all(texts.map((text) => recorded.ask("echo", { text })));
    assertEach(answers, (answer) => isJsonObject(answer["params"]) && answer["params"]["text"], texts);
    const { params } = await recorded.ask("echo", { n: parseExactly("12345678901234567890") });
    assert.equal(JSON.stringify(params), '{"n":12345678901234567890}', "more digits than a double has");
    assert.equal(recorded.failed.size, 0);
  });

  test(`${name}: messages within a request arrive before its answer, in order`, async (t) => {
    const recorded = await opened(t);
    const before = recorded.received.length;
    await recorded.ask("test/notices", { count: 500 });
    const got = recorded.received.slice(before);
    assert.equal(got.length, 501);
    got.slice(0, 500).forEach(({ message, streamOf }, index) => {
      assert.ok(isJsonObject(message) && isJsonObject(message["params"]));
      assert.equal(message["params"]["progress"], index);
      assert.equal(streamOf, tellsStream ? 2 : null);
    });
  });

  test(`${name}: notifications/initialized is received before any later message`, async (t) => {
    const recorded = await opened(t);
    const { heard } = await recorded.ask("test/heard");
    assert.deepEqual(heard, [{ jsonrpc: "2.0", method: "notifications/initialized" }]);
  });

  test(`${name}: a question of the server arrives, and our answer reaches it`, async (t) => {
    const recorded = await opened(t);
    await recorded.ask("test/ask");
    const question = recorded.received.find(
      ({ message }) => isJsonObject(message) && message["method"] === "sampling/createMessage",
    );
    assert.ok(question);
    recorded.link.send({ jsonrpc: "2.0", id: "question", result: { said: "yes" } });
    await eventually(async () => {
      const { heard } = await recorded.ask("test/heard");
      return JSON.stringify(heard).includes('"said":"yes"');
    });
  });

  test(`${name}: an answer of 8 MB arrives whole`, async (t) => {
    const recorded = await opened(t);
    const { text } = await recorded.ask("test/large", { length: 4_000_000 });
    assert.equal(text, "ü".repeat(4_000_000));
  });

  test(`${name}: a message nested too deep to be written fails on its own, and never throws`, async (t) => {
    const recorded = await opened(t);
    const deep = JSON.parse(`${'{"0":1,"a":'.repeat(50_000)}1${"}".repeat(50_000)}`);
    const failure = await recorded.askInVain("echo", { deep });
    assert.equal(failure.kind, "refused");
    assert.match(failure.message, /nested too deep/);
    await recorded.ask("test/ask");
    recorded.link.send({ jsonrpc: "2.0", id: "question", result: { deep } });
    recorded.link.send({ jsonrpc: "2.0", method: "notifications/deep", params: { deep } });
    await eventually(async () => {
      const { heard } = await recorded.ask("test/heard");
      return JSON.stringify(heard).includes('"id":"question","error":{"code":-32603');
    });
    const { params } = await recorded.ask("echo", { text: "on" });
    assert.deepEqual(params, { text: "on" });
    assert.deepEqual(recorded.closed, []);
  });

  test(`${name}: a paused message is followed by none until its release`, async (t) => {
    const recorded = await opened(t);
    const before = recorded.received.length;
    const gate = Promise.withResolvers<void>();
    recorded.hold = () => {
      recorded.hold = () => null;
      return gate.promise;
    };
    const answer = recorded.ask("test/notices", { count: 5_000 });
    await eventually(() => recorded.received.length === before + 1);
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(recorded.received.length, before + 1);
    gate.reject(new Error("the receiver is gone"));
    await answer;
    assert.equal(recorded.received.length, before + 5_001);
  });

  test(`${name}: nothing arrives after close, which may be called twice`, async (t) => {
    const recorded = openRecorded(await echo(t));
    await recorded.initialize();
    recorded.link.send({ jsonrpc: "2.0", id: "late", method: "echo" });
    const before = recorded.received.length;
    await Promise.all([recorded.link.close(), recorded.link.close()]);
    recorded.link.send({ jsonrpc: "2.0", id: "later", method: "echo" });
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(recorded.received.length, before);
    assert.deepEqual(recorded.closed, []);
    assert.equal(recorded.failed.size, 0);
  });

  test(`${name}: a missing server is a failure, never a throw`, async (t) => {
    const recorded = openRecorded(await nothing(t));
    recorded.link.send({ jsonrpc: "2.0", id: 1, method: "initialize" });
    const failure = await eventually(() => recorded.failed.get(1) ?? recorded.closed[0]);
    assert.equal(failure.kind, "unreachable");
    assert.notEqual(failure.hint, null);
    await recorded.link.close();
  });
}
