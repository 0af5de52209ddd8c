import assert from "node:assert/strict";
import { Agent, request as httpRequest } from "node:http";
import path from "node:path";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { requireAllDone, startLoad } from "../kit/load.ts";
import type { Given } from "../kit/sessions.ts";
import { randomFrom } from "../lab/random.ts";
import { LIGHT_SERVER } from "../mcp/fixture-programs.ts";
import { type GatewayRig, nodeBackend, startGatewayRig } from "../mcp/gateway-rig.ts";
import { connectLight } from "../mcp/light-client.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";

const A = nodeBackend(LIGHT_SERVER);
const TOKEN = "the-token";

/** One call after the other on one kept connection each; elsewhere only when nobody listens where it was. */
function keptSession(name: string, urls: readonly string[], sessionId: string) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const self = {
    name,
    moved: 0,
    async call(tool: string, given: Given): Promise<string> {
      const body = JSON.stringify({
        jsonrpc: "2.0",
        // All of them speak in one session.
        id: String(given["text"]),
        method: "tools/call",
        params: { name: tool, arguments: given },
      });
      try {
        const answer = await post(urls[self.moved] ?? "", agent, sessionId, body);
        return answer.includes('"noted"') ? "noted" : answer;
      } catch (error) {
        const refused = error instanceof Error && "code" in error && error.code === "ECONNREFUSED";
        if (!refused || self.moved + 1 >= urls.length) throw error;
        self.moved++;
        return self.call(tool, given);
      }
    },
  };
  return self;
}

function post(url: string, agent: Agent, sessionId: string, body: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest(url, {
      method: "POST",
      agent,
      headers: {
        accept: "application/json, text/event-stream",
        "content-type": "application/json",
        "content-length": Buffer.byteLength(body),
        "mcp-session-id": sessionId,
        authorization: `Bearer ${TOKEN}`,
      },
    });
    sent.once("error", reject);
    sent.once("response", (response) => text(response).then(resolve, reject));
    sent.end(body);
  });
}

const SESSIONS = 32;

/** Calls without a pause in one session, over as many connections; `lost` is of whatever came of them. */
async function startCallers(t: TestContext, rig: GatewayRig, urls: readonly string[], sessionId: string) {
  const sessions = Array.from({ length: SESSIONS }, (_, at) => keptSession(`c${at}`, urls, sessionId));
  const load = startLoad({
    sessions,
    perSecond: 400,
    atOnce: 1,
    file: path.join(rig.folder, "notes"),
    tools: new Map(sessions.map(({ name }) => [name, ["note"]])),
    random: randomFrom(SESSIONS),
  });
  t.after(() => load[Symbol.asyncDispose]());
  const untilAnswered = (): Promise<unknown> => {
    const sinceMs = performance.now();
    return eventually(() => sessions.every(({ name }) => load.answeredSince(name, sinceMs) !== null));
  };
  await untilAnswered();
  return {
    untilAnswered,
    end: async () => requireAllDone(await load.end()),
    moved: () => sessions.map(({ moved }) => moved),
  };
}

test("B7 the listener moves to another port under load: no call is lost, the session goes on there", async (t) => {
  const rig = await startGatewayRig(t, { backends: { a: A } });
  await rig.untilReady("a");
  await using client = await connectLight(rig.url);
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/mcp`;
  const callers = await startCallers(t, rig, [rig.url, url], client.sessionId ?? "");
  await rig.edit({ backends: { a: A }, server: { port } });
  // A call that the old listener had taken is answered there.
  await eventually(() => callers.moved().every((moved) => moved === 1));
  await callers.untilAnswered();
  await callers.end();
  const { gateway } = await rig.status();
  assert.deepEqual([gateway?.url, gateway?.sessions], [url, 1]);
});
