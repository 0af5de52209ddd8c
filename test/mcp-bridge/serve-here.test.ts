import assert from "node:assert/strict";
import { type Duplex, PassThrough, Readable } from "node:stream";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { serveHere } from "../../src/mcp-bridge/serve-here.ts";
import { MountaineerError } from "../../src/runtime/errors.ts";
import { eventually } from "../support/eventually.ts";
import { collector, never } from "./bridge-scene.ts";

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
  await eventually(() => ended.length === 1);
  const input = new PassThrough();
  const other = serveHere(gateway, { input, output: collector().output, signal: never });
  input.destroy(new Error("gone"));
  await other;
});
