// Owns what tests of the bridge have on either side of it: a daemon's socket served by the test, and a client's output.
import { type Duplex, Writable } from "node:stream";
import type { TestContext } from "node:test";
import { type McpSocket, startMcpSocket } from "../../src/api/mcp-socket.ts";
import { silentLogger } from "../../src/runtime/log.ts";
import { gatewayReport } from "../api/sample-gateway.ts";
import type { sampleReport } from "../api/sample-report.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

export const never = new AbortController().signal;

export interface Scene {
  readonly daemon: { mcpSocketPath: string; status: () => Promise<ReturnType<typeof sampleReport>> };
  readonly socket: McpSocket;
  readonly streams: Duplex[];
}

export async function startScene(t: TestContext, serve: (stream: Duplex) => void): Promise<Scene> {
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
