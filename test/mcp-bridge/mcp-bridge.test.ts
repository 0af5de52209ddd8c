// The bridge at one daemon, at many, and without one.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { join } from "node:path";
import { type Duplex, PassThrough, Readable, Writable } from "node:stream";
import { type TestContext, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { Client, ReadBuffer, serializeMessage, type Transport } from "@modelcontextprotocol/client";
import { OWNER } from "../../src/gateway/client-handle.ts";
import { LinesFront } from "../../src/gateway/frontend/stdio/lines.ts";
import { type BridgedDaemon, type BridgeEnds, bridge } from "../../src/mcp-bridge/mcp-bridge.ts";
import { serveHere } from "../../src/mcp-bridge/serve-here.ts";
import { MountaineerError } from "../../src/runtime/errors.ts";
import { noopLogger as logger } from "../../src/runtime/log/log.ts";
import { systemClock as clock } from "../../src/runtime/time/clock.ts";
import { createModern } from "../gateway/frontend/http/http-rig.ts";
import { createBlockingTool, createScriptedGateway, text } from "../gateway/frontend/scripted-gateway.ts";
import { ANSWERS_MS, BETWEEN_LOOKS_MS, eventually } from "../support/eventually.ts";
import { createManualClock } from "../support/manual-clock.ts";
import { passTimeUntil, passTimeUntilSettled } from "../support/pass-time.ts";
import { fc } from "../support/properties.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { collector, gatewayOf, type Heard, never, startScene } from "./bridge-scene.ts";

/** No daemon follows the first. */
const carry = (daemon: BridgedDaemon, ends: BridgeEnds): Promise<void> =>
  bridge(daemon, ends, { find: async () => null, notify() {} });

const echo = (stream: Duplex): void => void stream.pipe(stream);

test("bytes pass both ways unchanged, and the last answers arrive after the client has ended", async (t) => {
  const { daemon } = await startScene(t, echo);
  const sent = randomBytes(1024 * 1024);
  const { output, bytes } = collector();
  await carry(daemon, {
    input: Readable.from([sent.subarray(0, 7), sent.subarray(7)]),
    output,
    signal: never,
  });
  const digest = (data: Buffer) => createHash("sha256").update(data).digest("hex");
  assert.equal(digest(bytes()), digest(sent));
  assert.equal(output.writableEnded, false, "stdout is not ours to end");
});

test("a message of 16 MiB passes both ways", async (t) => {
  const { daemon } = await startScene(t, echo);
  const sent = Buffer.concat([Buffer.alloc(16 * 1024 * 1024, '{"a":"b\\"",'), Buffer.from("\n")]);
  const { output, bytes } = collector();
  await carry(daemon, { input: Readable.from([sent]), output, signal: never });
  assert.ok(bytes().equals(sent));
});

test("a client that reads nothing slows the gateway, rather than filling memory", async (t) => {
  let written = 0;
  const line = Buffer.alloc(64 * 1024, "{}\n");
  const { daemon } = await startScene(t, (stream) => {
    stream.on("error", () => {});
    const more = (): void => {
      while (!stream.destroyed && stream.write(line)) written += line.length;
      stream.once("drain", more);
    };
    more();
  });
  const output = new Writable({ write() {} });
  const leave = new AbortController();
  const bridging = carry(daemon, { input: new PassThrough(), output, signal: leave.signal });
  bridging.catch(() => {});
  let before = -1;
  await eventually(async () => {
    const stands = written === before && written > 0;
    before = written;
    for (let round = 0; round < 50; round += 1) await turn();
    return stands;
  });
  assert.ok(written < 16 * 1024 * 1024, String(written));
  leave.abort(new MountaineerError("aborted", "stopped by SIGTERM"));
  await assert.rejects(bridging, { code: "aborted" });
});

test("a daemon without a gateway is gateway_off, whether its socket exists or not", async (t) => {
  const { daemon } = await startScene(t, (stream) => stream.destroy());
  const without = { ...daemon, backendPhases: async () => null };
  const ends = () => ({ input: new PassThrough(), output: collector().output, signal: never });
  await assert.rejects(carry(without, ends()), { code: "gateway_off" });
  const home = await temporaryFolder(t);
  const absent = { ...without, mcpSocket: { path: join(home, "mcp.sock"), home } };
  await assert.rejects(carry(absent, ends()), { code: "gateway_off" });
  const clock = createManualClock();
  const refusing = bridge(daemon, ends(), { clock, find: async () => daemon, notify() {} });
  await assert.rejects(passTimeUntilSettled(clock, refusing, 250), {
    code: "daemon_unreachable",
    message: /takes no MCP client/,
  });
  assert.ok(clock.monotonicMs() >= 2_000, "one that is stopping takes nobody either");
});

test("B11 a daemon that is stopping accepts no client, and the next one does", async (t) => {
  const stopping = await startScene(t, (stream) => stream.destroy());
  const heard: Heard[] = [];
  const next = await startScene(t, gatewayOf(heard));
  const clock = createManualClock();
  const [input, left] = [new PassThrough(), new AbortController()];
  const find = async () => next.daemon;
  const ends = { input, output: collector().output, signal: left.signal };
  const bridging = bridge(stopping.daemon, ends, { clock, find, notify() {} });
  bridging.catch(() => {});
  input.write('{"jsonrpc":"2.0","id":0,"method":"initialize"}\n');
  await passTimeUntil(clock, () => heard.length === 1, 50);
  left.abort(new MountaineerError("aborted", "the test is over"));
  await assert.rejects(bridging, { code: "aborted" });
});

test("a client that is gone, before all is answered, ends it quietly", async (t) => {
  const { daemon, streams } = await startScene(t, (stream) => {
    stream.on("error", () => {});
    stream.once("end", () => stream.end()).resume();
    stream.write(`${"x".repeat(100)}\n`);
  });
  const broken = Object.assign(new Error("EPIPE"), { code: "EPIPE" });
  const output = new Writable({ write: (_chunk, _encoding, done) => done(broken) });
  await carry(daemon, { input: new PassThrough(), output, signal: never });
  await eventually(() => streams[0]?.destroyed === true);
  const input = new PassThrough();
  const bridging = carry(daemon, { input, output: collector().output, signal: never });
  await eventually(() => streams.length === 2);
  input.destroy(broken);
  await bridging;
  const { output: closing } = collector();
  const carrying = carry(daemon, { input: new PassThrough(), output: closing, signal: never });
  await eventually(() => streams.length === 3);
  closing.destroy();
  await carrying;
});

test("a signal exits at once, even before the connection is made", async (t) => {
  const { daemon, streams } = await startScene(t, () => {});
  const leave = new AbortController();
  leave.abort(new MountaineerError("aborted", "stopped by SIGINT"));
  const ends = { input: new PassThrough(), output: collector().output };
  const listeners = () => [ends.input.eventNames(), ends.output.eventNames()];
  const before = listeners();
  await assert.rejects(carry(daemon, { ...ends, signal: leave.signal }), { code: "aborted" });
  const later = new AbortController();
  const bridging = carry(daemon, { ...ends, signal: later.signal });
  bridging.catch(() => {});
  await eventually(() => streams.length > 0);
  later.abort(new MountaineerError("aborted", "stopped by SIGINT"));
  await assert.rejects(bridging, { code: "aborted" });
  assert.deepEqual(listeners(), before);
  assert.equal(ends.input.isPaused(), true);
});

const LISTS = "tools/list";
const CALLS = "tools/call";

test("B7 through many daemons every request is answered once, and no call arrives twice", async (t) => {
  const story = fc.record({
    /** How many bytes each daemon hears before it breaks off. */
    breaks: fc.array(fc.nat(3_000), { maxLength: 6 }),
    /** Where what the client writes is cut. */
    cuts: fc.array(fc.integer({ min: 1, max: 900 }), { minLength: 1, maxLength: 20 }),
    requests: fc.array(fc.record({ isCall: fc.boolean(), words: fc.nat(60) }), {
      minLength: 20,
      maxLength: 60,
    }),
  });
  let failures = 0;
  await fc.assert(
    fc.asyncProperty(story, async ({ breaks, cuts, requests }) => {
      const clock = createManualClock();
      const heard: Heard[] = [];
      const serve = gatewayOf(heard, (method) => (method === CALLS || method === LISTS ? { method } : null));
      let daemons = 0;
      const { daemon, socket } = await startScene(t, (stream) => {
        const limit = breaks[daemons];
        daemons += 1;
        serve(stream);
        let bytes = 0;
        stream.on("data", (chunk: Buffer) => {
          bytes += chunk.length;
          // The first has to say something: it would be one that takes no client.
          if (limit !== undefined && bytes > limit + 200) stream.destroy();
        });
      });
      const input = new PassThrough();
      const { output, text } = collector();
      const means = { clock, find: async () => daemon, notify() {} };
      const bridging = bridge(daemon, { input, output, signal: never }, means);
      const answers = (): readonly { readonly id?: unknown; readonly error?: { readonly code: number } }[] =>
        text()
          .split("\n")
          .slice(0, -1)
          .map((line) => JSON.parse(line))
          .filter(({ method }) => method === undefined);
      const step = async (holds: () => boolean): Promise<boolean> => {
        if (clock.pendingTimers > 0) await clock.advance(50);
        return holds();
      };
      const until = (holds: () => boolean) => eventually(() => step(holds), ANSWERS_MS, BETWEEN_LOOKS_MS);
      const line = (message: object) => `${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`;

      input.write(line({ id: "hello", method: "initialize", params: {} }));
      await until(() => answers().length === 1);
      let said = requests
        .map(({ isCall, words }, id) =>
          line({ id, method: isCall ? CALLS : LISTS, params: { text: "word ".repeat(words) } }),
        )
        .join("");
      for (let cut = 0; said !== ""; cut += 1) {
        const length = cuts[cut % cuts.length] ?? 1;
        input.write(said.slice(0, length));
        said = said.slice(length);
        await turn();
      }
      await until(() => answers().length > requests.length);
      input.end();
      await bridging;
      await socket[Symbol.asyncDispose]();

      const ids = answers().map(({ id }) => id);
      assert.deepEqual(new Set(ids).size, requests.length + 1);
      assert.equal(ids.length, requests.length + 1);
      const calls = heard.filter(({ method }) => method === CALLS).map(({ id }) => id);
      assert.equal(new Set(calls).size, calls.length);
      for (const { error } of answers()) {
        if (error === undefined) continue;
        failures += 1;
        assert.equal(error.code, -32000);
      }
    }),
    { numRuns: 25 },
  );
  assert.ok(failures > 0, "no request was under way when a daemon broke off");
});

test("without a daemon the client is served here, until it has left and all is answered", async () => {
  const { output, text } = collector();
  const gateway = {
    whenStarted: async () => {},
    serveLines(stream: Duplex): void {
      let heard = "";
      stream.on("data", (chunk: Buffer) => {
        heard += chunk.toString();
      });
      stream.once("end", () => setImmediate(() => stream.end(`heard ${heard}`)));
    },
  };
  await serveHere(gateway, { input: Readable.from([Buffer.from("hello")]), output, signal: never });
  assert.equal(text(), "heard hello");
});

test("serving here begins when the backends are ready, or ends with the signal before that", async () => {
  const ready = Promise.withResolvers<void>();
  const serving: Duplex[] = [];
  const gateway = {
    whenStarted: () => ready.promise,
    serveLines(stream: Duplex): void {
      serving.push(stream);
      stream.resume().once("end", () => stream.end());
    },
  };
  const ends = { input: Readable.from([Buffer.from("hello")]), output: collector().output };
  const served = serveHere(gateway, { ...ends, signal: never });
  await turn();
  assert.equal(serving.length, 0);
  ready.resolve();
  await served;
  assert.equal(serving.length, 1);

  const leave = new AbortController();
  const whenStarted = async (signal: AbortSignal): Promise<void> => {
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
  };
  const left = serveHere({ ...gateway, whenStarted }, { ...ends, signal: leave.signal });
  leave.abort(new MountaineerError("aborted", "stopped by SIGTERM"));
  await assert.rejects(left, { code: "aborted" });
  assert.equal(serving.length, 1);
});

test("serving here ends with the signal, and quietly when the client breaks off", async () => {
  const ended: Duplex[] = [];
  const gateway = {
    whenStarted: async () => {},
    serveLines(stream: Duplex): void {
      stream.on("error", () => {});
      stream.once("close", () => ended.push(stream));
      stream.resume();
    },
  };
  const leave = new AbortController();
  const serving = serveHere(gateway, {
    input: new PassThrough(),
    output: collector().output,
    signal: leave.signal,
  });
  serving.catch(() => {});
  await turn();
  leave.abort(new MountaineerError("aborted", "stopped by SIGTERM"));
  await assert.rejects(serving, { code: "aborted" });
  await eventually(() => ended.length === 1);
  const input = new PassThrough();
  const other = serveHere(gateway, { input, output: collector().output, signal: never });
  input.destroy(new Error("gone"));
  await other;
});

type Daemon = Awaited<ReturnType<typeof startDaemon>>;

async function startDaemon(t: TestContext, blocking = createBlockingTool()) {
  const gateway = createScriptedGateway({
    held: blocking.tool,
    async asks({ handle, signal }) {
      const requestedSchema = { type: "object", properties: { name: { type: "string" } } };
      return text(
        JSON.stringify(await handle.request("elicitation/create", { message: "?", requestedSchema }, signal)),
      );
    },
  });
  const modern = createModern(gateway);
  const fronts: LinesFront[] = [];
  const scene = await startScene(t, (stream) => {
    const options = { gateway, modern, clock, logger, principal: OWNER, bodyLimitBytes: () => 1e6 };
    fronts.push(new LinesFront(stream, options));
  });
  t.after(() => modern.end(0, "the test is over"));
  return { gateway, scene, fronts };
}

/** The client's side of a bridge that finds `daemons` one after the other. */
async function connect(t: TestContext, daemons: readonly Daemon[]) {
  const [input, output] = [new PassThrough(), new PassThrough()];
  const leaves = new AbortController();
  const next = 1;
  const [first] = daemons;
  assert.ok(first);
  const over = bridge(
    first.scene.daemon,
    { input, output, signal: leaves.signal },
    { find: async () => daemons[Math.min(next, daemons.length - 1)]?.scene.daemon ?? null, notify() {} },
  ).catch(() => {});
  const buffer = new ReadBuffer();
  const transport: Transport = {
    async start() {
      output.on("data", (chunk: Buffer) => {
        buffer.append(chunk);
        for (let one = buffer.readMessage(); one !== null; one = buffer.readMessage())
          transport.onmessage?.(one);
      });
    },
    async send(message) {
      input.write(serializeMessage(message));
    },
    async close() {
      input.end();
      transport.onclose?.();
    },
  };
  const client = new Client(
    { name: "modern", version: "1" },
    { versionNegotiation: { mode: "auto" }, capabilities: { elicitation: { form: {} } } },
  );
  client.setRequestHandler("elicitation/create", () => ({ action: "accept", content: { name: "ann" } }));
  const told: string[] = [];
  client.fallbackNotificationHandler = async ({ method }) => void told.push(method);
  await client.connect(transport);
  t.after(async () => {
    await client.close();
    leaves.abort();
    await over;
  });
  return { client, told };
}

test("D1 D2 a client of 2026-07-28 calls, is asked and cancels through the bridge", async (t) => {
  const blocking = createBlockingTool();
  const daemon = await startDaemon(t, blocking);
  const { client } = await connect(t, [daemon]);
  assert.equal(client.getNegotiatedProtocolVersion(), "2026-07-28");
  const { content } = await client.callTool({ name: "any", arguments: { a: "é" } });
  assert.deepEqual(content, [{ type: "text", text: '{"a":"é"}' }]);
  assert.match(JSON.stringify((await client.callTool({ name: "asks" })).content), /ann/);
  const taken = new AbortController();
  const call = client.callTool({ name: "held" }, { signal: taken.signal });
  await eventually(() => blocking.started.length === 1);
  taken.abort();
  await assert.rejects(call);
  await eventually(() => blocking.started[0]?.signal.aborted === true);
});

test("D2 it continues with the next gateway, and listens there without noticing", async (t) => {
  const daemons = [await startDaemon(t), await startDaemon(t)];
  const [first, second] = daemons;
  assert.ok(first && second);
  const { client, told } = await connect(t, daemons);
  const listening = await client.listen({ toolsListChanged: true });
  assert.deepEqual(listening.honoredFilter, { toolsListChanged: true });
  for (const stream of first.scene.streams) stream.destroy();
  await eventually(() => second.gateway.sessions.size === 1);
  await eventually(() => told.filter((method) => method === "notifications/tools/list_changed").length === 1);
  for (const session of second.gateway.sessions) session.listChanged("tools");
  await eventually(() => told.filter((method) => method === "notifications/tools/list_changed").length === 2);
  await client.callTool({ name: "any" });
  assert.equal(second.gateway.requests.filter(({ method }) => method === "tools/call").length, 1);
});

test("D2 when another gateway takes over it moves in a quiet moment, and its stream stays", async (t) => {
  const blocking = createBlockingTool();
  const daemons = [await startDaemon(t, blocking), await startDaemon(t)];
  const [first, second] = daemons;
  assert.ok(first && second);
  const { client, told } = await connect(t, daemons);
  await client.listen({ toolsListChanged: true });
  const call = client.callTool({ name: "held" });
  await eventually(() => blocking.started.length === 1);
  for (const front of first.fronts) front.moveOn();
  blocking.release(text("finished by the old one"));
  assert.match(JSON.stringify((await call).content), /finished by the old one/);
  await eventually(() => second.gateway.sessions.size === 1);
  await eventually(() => first.gateway.sessions.size === 0);
  for (const session of second.gateway.sessions) session.listChanged("tools");
  await eventually(() => told.includes("notifications/tools/list_changed"));
});
