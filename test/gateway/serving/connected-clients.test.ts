import assert from "node:assert/strict";
import { test } from "node:test";
import { clientStatus } from "../../../src/daemon/control/gateway-status.ts";
import { type ClientPort, OWNER } from "../../../src/gateway/client-port.ts";
import { errorReply, type Reply } from "../../../src/gateway/json-rpc.ts";
import { MODERN_VERSION } from "../../../src/gateway/protocol.ts";
import { ConnectedClients } from "../../../src/gateway/serving/connected-clients.ts";
import { NO_GATEWAY } from "../../../src/gateway/serving/gateway-rules.ts";
import { connectLight } from "../../mcp/light-client.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { callPort, client, user } from "../middleware/requests.ts";
import { realGateway, serverOn } from "./gateway-rig.ts";

const OK: Reply = { result: { content: [] } };

function rig() {
  const clock = createManualClock();
  const clients = new ConnectedClients(clock, (text) => text.replaceAll("s3cret", "[redacted]"));
  const answer = (by: ClientPort, reply: Reply, method = "tools/call"): void =>
    clients.answered({ method, port: callPort(by) }, reply);
  const listed = () =>
    clients.list
      .map(clientStatus)
      .map(({ name, calls, last_error }) => [name, calls, last_error?.message ?? null]);
  return { clock, clients, answer, listed };
}

const named = (name: string, change: Partial<ClientPort> = {}): ClientPort => ({
  ...client(user("ann")),
  clientInfo: { name, version: "1" },
  ...change,
});

test("a session is there until it ends, with its calls and its last error, cleaned of secrets", () => {
  const { clients, answer, listed } = rig();
  const [one, two] = [named("one"), named("two")];
  clients.opened(one);
  clients.opened(two);
  answer(one, OK, "tools/list");
  answer(one, OK);
  answer(one, errorReply(-1, "the key s3cret is wrong"));
  answer(two, { result: { isError: true, content: [{ type: "text", text: "no\nfile\u202e" }] } });
  assert.deepEqual(listed(), [
    ["one", 2, "the key [redacted] is wrong"],
    ["two", 1, "no file\\u{202e}"],
  ]);
  clients.closed(one);
  answer(one, OK);
  assert.deepEqual(
    listed().map(([name]) => name),
    ["two"],
  );
});

test("one of 2026-07-28 is there while it listens, and five minutes after each request, however many it makes", async () => {
  const { clients, clock, answer, listed } = rig();
  const modern = (): ClientPort => named("modern", { protocolVersion: MODERN_VERSION });
  for (let count = 0; count < 3; count++) answer(modern(), OK);
  assert.deepEqual(listed(), [["modern", 3, null]]);
  const stream = modern();
  clients.opened(stream);
  await clock.advance(600_000);
  assert.equal(listed().length, 1);
  clients.closed(stream);
  await clock.advance(300_000);
  assert.equal(listed().length, 1);
  await clock.advance(1);
  assert.deepEqual(listed(), []);
});

test("clients of 2026-07-28 that borrow one port after the other keep their names, and its end closes no stream", async () => {
  const { clients, clock, answer, listed } = rig();
  const modern = (name: string): ClientPort => named(name, { protocolVersion: MODERN_VERSION });
  const port = { ...modern("one") };
  answer(port, OK);
  Object.assign(port, { clientInfo: { name: "two", version: "1" } });
  answer(port, OK);
  const names = (): unknown[] => listed().map(([name]) => name);
  assert.deepEqual(names(), ["one", "two"]);
  clients.opened(modern("two"));
  clients.closed(port);
  await clock.advance(600_000);
  assert.deepEqual(names(), ["two"]);
});

test("clients that call themselves ever otherwise are bounded", () => {
  const { clients, answer } = rig();
  for (let at = 0; at < 2_000; at++) answer(named(`c${at}`, { protocolVersion: MODERN_VERSION }), OK);
  assert.equal(clients.list.length, 500);
});

test("the way that it came is told", () => {
  const { clients, clock } = rig();
  const came = (change: Partial<ClientPort>) => {
    clients.opened(named("x", change));
    return clients.list.map(clientStatus).at(-1);
  };
  assert.equal(came({})?.transport, "http");
  assert.equal(came({ transport: "sse" })?.transport, "sse");
  assert.equal(came({ principal: OWNER })?.transport, "stdio");
  const { since, user: who, group, protocol } = came({ clientInfo: {}, group: "work" }) ?? {};
  assert.deepEqual(
    [since, who, group, protocol],
    [new Date(clock.wallMs()).toISOString(), "ann", "work", "2025-11-25"],
  );
});

test("F2 whoever comes over HTTP is listed as it introduced itself, until it goes", async (t) => {
  const gateway = realGateway(t);
  await gateway.start({ ...NO_GATEWAY, server: serverOn(0) });
  const light = await connectLight(gateway.view().url ?? "");
  await light.ask("tools/call", { name: "nothing" });
  const [one, ...more] = gateway.clients().map(clientStatus);
  assert.deepEqual([one?.protocol, one?.transport, one?.calls, more.length], ["2025-11-25", "http", 1, 0]);
  assert.equal(one?.last_error?.message, "Unknown tool: nothing");
  await light[Symbol.asyncDispose]();
  await eventually(() => gateway.clients().length === 0);
});
