// What another machine may answer to a request that was passed on to it: nothing of it costs more than that request.
import assert from "node:assert/strict";
import { createServer, IncomingMessage, ServerResponse } from "node:http";
import { type AddressInfo, Socket } from "node:net";
import { type Duplex, duplexPair } from "node:stream";
import { test } from "node:test";
import { Forwarding } from "../../../../src/gateway/front/http/forwarding.ts";
import { newSessionId } from "../../../../src/gateway/front/session/session-record.ts";
import { silentLogger } from "../../../../src/runtime/log/log.ts";
import { systemClock } from "../../../../src/runtime/time/clock.ts";
import { createScriptedGateway } from "../scripted-gateway.ts";
import { startRig } from "./http-rig.ts";

async function passed(words: string): Promise<{ readonly status: number; readonly text: string }> {
  const forwarding = new Forwarding({
    logger: silentLogger,
    clock: systemClock,
    peers: () => ({ machine: "laptop", shares: () => true, reach: async () => answering(words) }),
    refuse: ({ response }, { status, message }) => void response.writeHead(status).end(message),
  });
  await using server = createServer((request, response) => {
    const principal = { kind: "user", name: "ann", roles: [] } as const;
    forwarding.pass({ request, response, principal }, "nas", newSessionId("nas"), Buffer.from("{}"));
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const answer = await fetch(`http://127.0.0.1:${port}/mcp`, {
    method: "POST",
    body: "{}",
    signal: AbortSignal.timeout(5_000),
  });
  const found = { status: answer.status, text: await answer.text() };
  server.closeAllConnections();
  return found;
}

function answering(words: string): Duplex {
  const [ours, theirs] = duplexPair();
  theirs.on("error", () => {});
  theirs.once("data", () => void theirs.end(words));
  return ours;
}

test("a machine's answer is the client's", async () => {
  const words = "HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\nSet-Cookie: a=b\r\n\r\nok";
  assert.deepEqual(await passed(words), { status: 202, text: "ok" });
});

for (const status of ["000", "099", "101"]) {
  test(`a machine that answers with status ${status} costs that request alone`, async () => {
    const head = status === "101" ? "Connection: upgrade\r\nUpgrade: x\r\n" : "";
    const { status: told, text } = await passed(`HTTP/1.1 ${status} No\r\n${head}Content-Length: 0\r\n\r\n`);
    assert.equal(told, 502);
    assert.match(text, /it is not known whether the message took effect/);
  });
}

test("of one client's bodies no more than a bound waits for another machine", async () => {
  const refused: number[] = [];
  const forwarding = new Forwarding({
    logger: silentLogger,
    clock: systemClock,
    peers: () => ({ machine: "laptop", shares: () => true, reach: async () => duplexPair()[0] }),
    refuse: (_, { status }) => void refused.push(status),
  });
  const body = Buffer.alloc(30 * 1024 * 1024);
  const pass = (name: string): ServerResponse => {
    const request = new IncomingMessage(new Socket());
    Object.assign(request, { method: "POST", url: "/mcp" });
    const response = new ServerResponse(request);
    const principal = { kind: "user", name, roles: [] } as const;
    forwarding.pass({ request, response, principal }, "nas", newSessionId("nas"), body);
    return response;
  };
  const open = [pass("ann"), pass("ann"), pass("ann"), pass("bob")];
  assert.deepEqual(refused, [503]);
  for (const response of open) response.destroy();
});

test("a stream of another machine brings one request, whatever else it sends ahead", async (t) => {
  const rig = await startRig(createScriptedGateway());
  t.after(() => rig[Symbol.asyncDispose]());
  const caller = Buffer.from(JSON.stringify({ kind: "user", name: "ann", roles: [] })).toString("base64url");
  const head = `Host: localhost\r\nMountaineer-Session: ${"a".repeat(64)}\r\nMountaineer-Caller: ${caller}`;
  const [ours, theirs] = duplexPair();
  rig.front.serveForwarded(theirs);
  ours.write(`GET /mcp HTTP/1.1\r\n${head}\r\n\r\n`.repeat(3));
  let said = "";
  for await (const chunk of ours) said += String(chunk);
  assert.deepEqual(said.match(/^HTTP\/1.1 \d+/gmu), ["HTTP/1.1 404"]);
});
