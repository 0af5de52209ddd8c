// A management server for one test, and raw requests to it.
import assert from "node:assert/strict";
import { connect } from "node:net";
import { connectToDaemon, type DaemonClient } from "../../src/api/client/client.ts";
import type { Control } from "../../src/api/operations/operations.ts";
import type { Events } from "../../src/api/server/event-streams.ts";
import { startManagementServer } from "../../src/api/server/server.ts";
import { type Logger, noopLogger } from "../../src/runtime/log/log.ts";
import { type Clock, systemClock } from "../../src/runtime/time/clock.ts";
import { type Scope, temporaryFolder } from "../support/temporary-folder.ts";
import { scriptedControl } from "./sample-report.ts";

export interface RigOptions {
  readonly home?: string;
  /** Each absent: a server without. */
  readonly control?: Partial<Control>;
  readonly config?: Partial<Control> & Events;
  readonly gateway?: Partial<Control>;
  readonly places?: Partial<Control>;
  readonly records?: Partial<Control>;
  readonly mcpSocket?: string;
  readonly clock?: Clock;
  readonly logger?: Logger;
}

export type Rig = Awaited<ReturnType<typeof startRig>>;

export async function startRig(t: Scope, options: RigOptions = {}) {
  const home = options.home ?? (await temporaryFolder(t));
  const server = await startManagementServer({
    home,
    control: {
      ...(options.control ?? scriptedControl()),
      ...options.config,
      ...options.gateway,
      ...options.places,
      ...options.records,
    },
    events: options.config ?? null,
    mcpSocket: options.mcpSocket ?? null,
    clock: options.clock ?? systemClock,
    logger: options.logger ?? noopLogger,
    version: "0.1.0-test",
  });
  t.after(() => server[Symbol.asyncDispose]());
  return { home, server };
}

/** The same, with a client that is connected. */
export async function connectedRig(t: Scope, options?: RigOptions): Promise<Rig & { client: DaemonClient }> {
  const rig = await startRig(t, options);
  const client = await connectToDaemon(rig.home);
  assert.ok(client !== null);
  return { ...rig, client };
}

export interface RawAnswer {
  readonly status: number;
  readonly headers: string;
  readonly body: string;
  readonly text: string;
}

/** Sends `text` as it is (in UTF-8 unless told) and resolves with all that comes back until the connection ends, 102s left out. */
export function talk(
  socketPath: string,
  text: string,
  encoding: BufferEncoding = "utf8",
): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath, () => socket.write(text, encoding));
    let received = "";
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => {
      received += chunk;
    });
    socket.once("error", reject);
    socket.once("close", () => {
      const answer = received.replaceAll(/HTTP\/1.1 10[02] [A-Za-z]+\r\n\r\n/g, "");
      const [headers = "", body = ""] = answer.split("\r\n\r\n", 2);
      resolve({ status: Number(/^HTTP\/1.1 (\d+)/.exec(headers)?.[1]), headers, body, text: received });
    });
  });
}

/** Each request is refused with the status and the words of its row. */
export async function assertRefused(
  server: Awaited<ReturnType<typeof startManagementServer>>,
  cases: readonly (readonly [request: string, status: number, message: RegExp])[],
): Promise<void> {
  for (const [text, status, message] of cases) {
    const answer = await talk(server.socketPath, text);
    assert.equal(answer.status, status, text);
    assert.match(answer.headers, /content-type: application\/json/i);
    assert.match(JSON.parse(answer.body).error.message, message, text);
  }
}

export function post(path: string, body: string, headers = "", method = "POST"): string {
  return `${method} /manage/v1/${path} HTTP/1.1\r\nHost: x\r\n${headers}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

export function get(path: string): string {
  return `GET /manage/v1/${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
}
