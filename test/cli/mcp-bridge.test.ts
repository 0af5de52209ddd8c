import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";

import { join } from "node:path";
import { type Duplex, PassThrough, Readable, Writable } from "node:stream";
import { type TestContext, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { type McpSocket, startMcpSocket } from "../../src/api/mcp-socket.ts";
import { bridge, serveHere } from "../../src/cli/mcp-bridge.ts";
import { MountaineerError } from "../../src/runtime/errors.ts";
import { silentLogger } from "../../src/runtime/log.ts";
import { gatewayReport } from "../api/sample-gateway.ts";
import { sampleReport } from "../api/sample-report.ts";
import { eventually } from "../support/eventually.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const never = new AbortController().signal;

interface Scene {
  readonly daemon: { mcpSocketPath: string; status: () => Promise<ReturnType<typeof sampleReport>> };
  readonly socket: McpSocket;
  readonly streams: Duplex[];
}

async function startScene(t: TestContext, serve: (stream: Duplex) => void): Promise<Scene> {
  const streams: Duplex[] = [];
  const socket = await startMcpSocket({
    home: await temporaryFolder(t),
    logger: silentLogger,
    serve(stream) {
      streams.push(stream);
      serve(stream);
    },
  });
  t.after(() => socket[Symbol.asyncDispose]());
  return {
    daemon: { mcpSocketPath: socket.socketPath, status: async () => gatewayReport() },
    socket,
    streams,
  };
}

function collector(): { output: Writable; text: () => string; bytes: () => Buffer } {
  const chunks: Buffer[] = [];
  const output = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk);
      done();
    },
  });
  return { output, text: () => Buffer.concat(chunks).toString(), bytes: () => Buffer.concat(chunks) };
}

const echo = (stream: Duplex): void => void stream.pipe(stream);

test("bytes pass both ways unchanged, and the last answers come after the client has ended", async (t) => {
  const { daemon } = await startScene(t, echo);
  const sent = randomBytes(3 * 1024 * 1024);
  const { output, bytes } = collector();
  await bridge(daemon, {
    input: Readable.from([sent.subarray(0, 7), sent.subarray(7)]),
    output,
    signal: never,
  });
  const digest = (data: Buffer) => createHash("sha256").update(data).digest("hex");
  assert.equal(digest(bytes()), digest(sent));
  assert.equal(output.writableEnded, false, "stdout is not ours to end");
});

test("a client that reads nothing holds back the gateway, rather than filling memory", async (t) => {
  let written = 0;
  const { daemon } = await startScene(t, (stream) => {
    stream.on("error", () => {});
    const more = (): void => {
      while (!stream.destroyed && stream.write(Buffer.alloc(64 * 1024))) written += 64 * 1024;
      stream.once("drain", more);
    };
    more();
  });
  const output = new Writable({ write() {} });
  const leave = new AbortController();
  const bridging = bridge(daemon, { input: new PassThrough(), output, signal: leave.signal });
  bridging.catch(() => {});
  let before = -1;
  await eventually(async () => {
    const stands = written === before && written > 0;
    before = written;
    for (let round = 0; round < 50; round += 1) await turn();
    return stands;
  }, 5_000);
  assert.ok(written < 16 * 1024 * 1024, String(written));
  leave.abort(new MountaineerError("aborted", "stopped by SIGTERM"));
  await assert.rejects(bridging, { code: "aborted" });
});

test("a daemon that ends first is told as one that is gone; nothing of it is on stdout", async (t) => {
  const { daemon, socket, streams } = await startScene(t, (stream) => {
    stream.write("{}\n");
  });
  const { output, text } = collector();
  const bridging = bridge(daemon, { input: new PassThrough(), output, signal: never });
  bridging.catch(() => {});
  await eventually(() => text() === "{}\n", 5_000);
  assert.equal(streams.length, 1);
  await socket[Symbol.asyncDispose]();
  await assert.rejects(bridging, { code: "daemon_unreachable", message: "the daemon ended the connection" });
  assert.equal(text(), "{}\n");
});

test("a daemon without a gateway is gateway_off, whether its socket is there or not", async (t) => {
  const { daemon } = await startScene(t, (stream) => stream.destroy());
  const without = { ...daemon, status: async () => sampleReport() };
  const ends = () => ({ input: new PassThrough(), output: collector().output, signal: never });
  await assert.rejects(bridge(without, ends()), { code: "gateway_off" });
  const absent = { ...without, mcpSocketPath: join(await temporaryFolder(t), "mcp.sock") };
  await assert.rejects(bridge(absent, ends()), { code: "gateway_off" });
  await assert.rejects(bridge(daemon, ends()), {
    code: "daemon_unreachable",
    message: /takes no MCP client/,
  });
});

test("a client that is gone, before all is answered, ends it quietly", async (t) => {
  const { daemon, streams } = await startScene(t, (stream) => {
    stream.on("error", () => {});
    stream.once("end", () => stream.end()).resume();
    stream.write("x".repeat(100));
  });
  const broken = Object.assign(new Error("EPIPE"), { code: "EPIPE" });
  const output = new Writable({ write: (_chunk, _encoding, done) => done(broken) });
  await bridge(daemon, { input: new PassThrough(), output, signal: never });
  await eventually(() => streams[0]?.destroyed === true, 5_000);
  const input = new PassThrough();
  const bridging = bridge(daemon, { input, output: collector().output, signal: never });
  await eventually(() => streams.length === 2, 5_000);
  input.destroy(broken);
  await bridging;
});

test("a signal leaves at once, also before the connection stands", async (t) => {
  const { daemon, streams } = await startScene(t, () => {});
  const leave = new AbortController();
  leave.abort(new MountaineerError("aborted", "stopped by SIGINT"));
  const ends = { input: new PassThrough(), output: collector().output };
  await assert.rejects(bridge(daemon, { ...ends, signal: leave.signal }), { code: "aborted" });
  const later = new AbortController();
  const bridging = bridge(daemon, { ...ends, signal: later.signal });
  bridging.catch(() => {});
  await eventually(() => streams.length > 0, 5_000);
  later.abort(new MountaineerError("aborted", "stopped by SIGINT"));
  await assert.rejects(bridging, { code: "aborted" });
});

test("without a daemon the client is served here, until it has left and all is answered", async () => {
  const { output, text } = collector();
  const gateway = {
    status: async () => ({}),
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

test("serving here begins when the backends are there, and ends with the signal before that", async () => {
  const ready = Promise.withResolvers<object>();
  const serving: Duplex[] = [];
  const gateway = {
    status: () => ready.promise,
    serveLines(stream: Duplex): void {
      serving.push(stream);
      stream.resume().once("end", () => stream.end());
    },
  };
  const ends = { input: Readable.from([Buffer.from("hello")]), output: collector().output };
  const served = serveHere(gateway, { ...ends, signal: never });
  await turn();
  assert.equal(serving.length, 0);
  ready.resolve({});
  await served;
  assert.equal(serving.length, 1);

  const leave = new AbortController();
  const status = async (signal: AbortSignal): Promise<object> => {
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    return {};
  };
  const left = serveHere({ ...gateway, status }, { ...ends, signal: leave.signal });
  leave.abort(new MountaineerError("aborted", "stopped by SIGTERM"));
  await assert.rejects(left, { code: "aborted" });
  assert.equal(serving.length, 1);
});

test("serving here ends with the signal, and quietly when the client breaks off", async () => {
  const ended: Duplex[] = [];
  const gateway = {
    status: async () => ({}),
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
  await eventually(() => ended.length === 1, 5_000);
  const input = new PassThrough();
  const other = serveHere(gateway, { input, output: collector().output, signal: never });
  input.destroy(new Error("gone"));
  await other;
});
