// Both sides of the bridge in tests: a daemon's socket that the test serves, and a client's output.
import { createInterface } from "node:readline";
import { type Duplex, Writable } from "node:stream";
import type { TestContext } from "node:test";
import { startMcpSocket } from "../../src/api/socket/mcp-socket.ts";
import { noopLogger } from "../../src/runtime/log/log.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

export const never = new AbortController().signal;

export async function startScene(t: TestContext, serve: (stream: Duplex) => void) {
  const streams: Duplex[] = [];
  const home = await temporaryFolder(t);
  const socket = await startMcpSocket({
    home,
    logger: noopLogger,
    serve(stream) {
      streams.push(stream);
      serve(stream);
    },
  });
  t.after(() => socket[Symbol.asyncDispose]());
  return {
    daemon: { mcpSocket: { path: socket.socketPath, home }, backendPhases: async () => ["Ready"] },
    socket,
    streams,
  };
}

export function collector(): { output: Writable; text: () => string; bytes: () => Buffer } {
  const chunks: Buffer[] = [];
  const output = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk);
      done();
    },
  });
  return { output, text: () => Buffer.concat(chunks).toString(), bytes: () => Buffer.concat(chunks) };
}

export interface Heard {
  readonly id?: unknown;
  readonly method?: string;
  readonly params?: unknown;
}

/** Serves as a gateway does, as far as a bridge can tell: it answers initialize, and what `answers` has a result for. */
export function gatewayOf(
  heard: Heard[],
  answers: (method: string) => object | null = () => null,
): (stream: Duplex) => void {
  return (stream) => {
    stream.on("error", () => {});
    stream.once("end", () => stream.end());
    createInterface({ input: stream }).on("line", (line) => {
      const message: Heard = JSON.parse(line);
      heard.push(message);
      const { id, method = "" } = message;
      const result = method === "initialize" ? GREETING : answers(method);
      if (result !== null && id !== undefined)
        stream.write(`${JSON.stringify({ jsonrpc: "2.0", id, result })}\n`);
    });
  };
}

const GREETING = { protocolVersion: "2025-11-25", capabilities: { tools: { listChanged: true } } };
