import assert from "node:assert/strict";
import { duplexPair } from "node:stream";
import { describe, it } from "node:test";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { ReadBuffer, serializeMessage } from "@modelcontextprotocol/sdk/shared/stdio.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  LoggingMessageNotificationSchema,
  ToolListChangedNotificationSchema,
} from "@modelcontextprotocol/sdk/types.js";
import { OWNER } from "../../../../src/gateway/client-port.ts";
import { LinesFront } from "../../../../src/gateway/front/stdio/lines.ts";
import { isError } from "../../../../src/gateway/json-rpc.ts";
import { silentLogger } from "../../../../src/runtime/log/log.ts";
import { systemClock } from "../../../../src/runtime/time/clock.ts";
import { eventually } from "../../../support/eventually.ts";
import {
  createHeldTool,
  createScriptedGateway,
  onlySession,
  type ScriptedGateway,
  text,
} from "../scripted-gateway.ts";
import { createModern, startRig } from "./http-rig.ts";

/** Everything a server may do within a call. */
function busyGateway(): { gateway: ScriptedGateway; held: ReturnType<typeof createHeldTool> } {
  const held = createHeldTool();
  const gateway = createScriptedGateway({
    held: held.tool,
    async everything({ port, params, signal }) {
      const meta = params?.["_meta"] as { progressToken?: unknown } | undefined;
      port.notify("notifications/progress", { progressToken: meta?.progressToken, progress: 1, total: 2 });
      port.notify("notifications/message", { level: "info", data: "logged" });
      const asked = await Promise.all([
        port.request("roots/list", undefined, signal),
        port.request(
          "sampling/createMessage",
          { messages: [{ role: "user", content: { type: "text", text: "?" } }], maxTokens: 5 },
          signal,
        ),
        port.request(
          "elicitation/create",
          { message: "name?", requestedSchema: { type: "object", properties: { name: { type: "string" } } } },
          signal,
        ),
      ]);
      return text(
        JSON.stringify(
          asked.map((reply) => (reply !== null && isError(reply) ? reply.error : reply?.result)),
        ),
      );
    },
  });
  return { gateway, held };
}

interface Told {
  readonly client: Client;
  readonly logs: unknown[];
  changes: number;
}

async function connectClient(name: string, transport: Transport): Promise<Told> {
  const client = new Client(
    { name, version: "1" },
    { capabilities: { sampling: {}, elicitation: {}, roots: { listChanged: true } } },
  );
  const told: Told = { client, logs: [], changes: 0 };
  client.setRequestHandler(ListRootsRequestSchema, () => ({ roots: [{ uri: `file:///${name}` }] }));
  client.setRequestHandler(CreateMessageRequestSchema, () => ({
    role: "assistant" as const,
    model: name,
    content: { type: "text" as const, text: `sampled by ${name}` },
  }));
  client.setRequestHandler(ElicitRequestSchema, () => ({ action: "accept" as const, content: { name } }));
  client.setNotificationHandler(
    LoggingMessageNotificationSchema,
    ({ params }) => void told.logs.push(params.data),
  );
  client.setNotificationHandler(ToolListChangedNotificationSchema, () => void told.changes++);
  await client.connect(transport);
  return told;
}

async function useEverything(told: Told, name: string): Promise<void> {
  const progress: unknown[] = [];
  const result = await told.client.callTool({ name: "everything" }, undefined, {
    onprogress: (step) => progress.push(step),
  });
  const words = JSON.stringify(result.content);
  assert.match(words, new RegExp(`file:///${name}`));
  assert.match(words, new RegExp(`sampled by ${name}`));
  assert.match(words, new RegExp(`accept.*${name}`));
  assert.deepEqual(progress, [{ progress: 1, total: 2 }]);
  assert.deepEqual(told.logs.splice(0), ["logged"]);
}

async function cancelOne(told: Told, held: ReturnType<typeof createHeldTool>): Promise<void> {
  const leaving = new AbortController();
  const before = held.started.length;
  const call = told.client.callTool({ name: "held" }, undefined, { signal: leaving.signal });
  const request = await eventually(() => held.started[before]);
  leaving.abort("changed my mind");
  await assert.rejects(call, /changed my mind/);
  await eventually(() => request.signal.aborted);
  assert.match(String(request.signal.reason), /changed my mind/);
}

describe("the official SDK's client", () => {
  it("over HTTP: sampling, elicitation, roots, progress, logs, cancellation, change notices, its end", async () => {
    const { gateway, held } = busyGateway();
    await using rig = await startRig(gateway);
    const transport = new StreamableHTTPClientTransport(new URL(rig.url));
    const told = await connectClient("ann", transport as Transport);
    await useEverything(told, "ann");
    await cancelOne(told, held);
    onlySession(gateway).listChanged("tools");
    await eventually(() => told.changes === 1);
    await told.client.sendRootsListChanged();
    await eventually(() => gateway.heard.length === 1);
    await told.client.ping();
    await transport.terminateSession();
    assert.equal(gateway.sessions.size, 0);
    await told.client.close();
  });

  it("two of them at once: nothing reaches the wrong one", async () => {
    const { gateway } = busyGateway();
    await using rig = await startRig(gateway);
    const names = ["ann", "bob"];
    const clients = await Promise.all(
      names.map((name) =>
        connectClient(name, new StreamableHTTPClientTransport(new URL(rig.url)) as Transport),
      ),
    );
    for (let round = 0; round < 3; round++)
      await Promise.all(clients.map((told, index) => useEverything(told, names[index] ?? "")));
    await Promise.all(clients.map(({ client }) => client.close()));
  });

  it("over lines, with its own framing, the same", async () => {
    const { gateway, held } = busyGateway();
    const [near, far] = duplexPair();
    const clock = systemClock;
    const logger = silentLogger;
    const modern = createModern(gateway);
    const options = { gateway, modern, clock, logger, principal: OWNER, bodyLimitBytes: () => 1e6 };
    await using front = new LinesFront(far, options);
    const buffer = new ReadBuffer();
    const transport: Transport = {
      async start() {
        near.on("data", (chunk: Buffer) => {
          buffer.append(chunk);
          for (let message = buffer.readMessage(); message !== null; message = buffer.readMessage())
            transport.onmessage?.(message);
        });
      },
      async send(message) {
        near.write(serializeMessage(message));
      },
      async close() {
        near.end();
        transport.onclose?.();
      },
    };
    const told = await connectClient("cat", transport);
    await useEverything(told, "cat");
    await cancelOne(told, held);
    onlySession(gateway).listChanged("tools");
    await eventually(() => told.changes === 1);
    await told.client.close();
    await front.closed;
    assert.equal(gateway.sessions.size, 0);
  });
});
