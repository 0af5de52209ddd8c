import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent, request as httpRequest } from "node:http";
import { createServer, type Server } from "node:net";
import { type TestContext, test } from "node:test";
import { LIGHT_SERVER } from "../mcp/fixture-programs.ts";
import { nodeBackend, type Section, startGatewayRig } from "../mcp/gateway-rig.ts";
import { connectLight } from "../mcp/light-client.ts";
import { ANSWERS_MS, eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { liveHome } from "./live-home.ts";

const A = nodeBackend(LIGHT_SERVER);
const TOKEN = "the-token";
const LOCAL: Section = { type: "local", token: "${TOKEN}" };

async function occupy(t: TestContext): Promise<{ readonly port: number; free(): Promise<void> }> {
  const server: Server = createServer();
  const port = await freePort();
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  let freed: Promise<void> | null = null;
  const free = (): Promise<void> => {
    freed ??= new Promise((resolve) => server.close(() => resolve()));
    return freed;
  };
  t.after(free);
  return { port, free };
}

interface Caller {
  readonly answered: number;
  readonly moved: number;
  readonly lost: readonly string[];
  finish(): Promise<void>;
}

/** Calls one after the other on one kept connection; connects elsewhere only when nobody listens where it did. */
function startCaller(urls: readonly string[], sessionId: string): Caller {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const lost: string[] = [];
  let at = 0;
  let answered = 0;
  let moved = 0;
  let going = true;
  const run = async (): Promise<void> => {
    while (going) {
      const text = `call ${answered}`;
      try {
        const answer = await post(urls[at] ?? "", agent, sessionId, text);
        if (answer.includes(text)) answered++;
        else lost.push(answer);
      } catch (error) {
        const refused = error instanceof Error && "code" in error && error.code === "ECONNREFUSED";
        if (refused && at + 1 < urls.length) {
          at++;
          moved++;
        } else {
          lost.push(String(error));
          return;
        }
      }
    }
  };
  const running = run();
  return {
    get answered() {
      return answered;
    },
    get moved() {
      return moved;
    },
    lost,
    async finish() {
      going = false;
      await running;
      agent.destroy();
    },
  };
}

function post(url: string, agent: Agent, sessionId: string, text: string): Promise<string> {
  const params = { name: "sleep", arguments: { text, ms: Math.floor(Math.random() * 30) } };
  const body = JSON.stringify({ jsonrpc: "2.0", id: text, method: "tools/call", params });
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
    sent.once("response", (response) => {
      let answer = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        answer += chunk;
      });
      response.once("error", reject);
      response.once("end", () => resolve(answer));
    });
    sent.end(body);
  });
}

test("B7 the listener moves to another port under load: no call is lost, the session goes on there", async (t) => {
  const rig = await startGatewayRig(t, { backends: { a: A } });
  await rig.untilReady("a");
  await using client = await connectLight(rig.url);
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/mcp`;
  const callers = Array.from({ length: 32 }, () => startCaller([rig.url, url], client.sessionId ?? ""));
  await eventually(() => callers.every(({ answered }) => answered > 3));
  await rig.edit({ backends: { a: A }, server: { port } });
  const before = callers.map(({ answered }) => answered);
  await eventually(() => callers.every(({ answered }, at) => answered > (before[at] ?? 0) + 5));
  for (const caller of callers) await caller.finish();
  assert.deepEqual(
    callers.flatMap(({ lost }) => lost),
    [],
  );
  assert.ok(callers.every(({ moved }) => moved === 1));
  const { gateway } = await rig.status();
  assert.deepEqual([gateway?.url, gateway?.sessions], [url, 1]);
});

test("B7 the listener widens to all addresses under load, with tokens from then on: no call is lost", async (t) => {
  const rig = await startGatewayRig(t, { backends: { a: A } }, { env: { TOKEN } });
  await rig.untilReady("a");
  await using client = await connectLight(rig.url, { token: TOKEN });
  const callers = Array.from({ length: 32 }, () => startCaller([rig.url, rig.url], client.sessionId ?? ""));
  await eventually(() => callers.every(({ answered }) => answered > 3));
  const wide = { backends: { a: A }, server: { host: "0.0.0.0" }, more: { incoming_auth: LOCAL } };
  await rig.edit(wide);
  const before = callers.map(({ answered }) => answered);
  await eventually(() => callers.every(({ answered }, at) => answered > (before[at] ?? 0) + 5));
  // And back.
  await rig.edit({ ...wide, server: {} });
  await eventually(() => callers.every(({ answered }, at) => answered > (before[at] ?? 0) + 10));
  for (const caller of callers) await caller.finish();
  assert.deepEqual(
    callers.flatMap(({ lost }) => lost),
    [],
  );
  await assert.rejects(connectLight(rig.url), /401/);
  assert.equal((await rig.status()).gateway?.sessions, 1);
});

test("B6 a busy port rejects the edit by its key and its holder, and everything goes on as it was", async (t) => {
  const rig = await startGatewayRig(t, { backends: { a: A } });
  await rig.untilReady("a");
  await using client = await connectLight(rig.url);
  const { port } = await occupy(t);
  await rig.save({ backends: { a: A, b: A }, server: { port } });
  const daemon = await rig.daemon();
  const error = await eventually(async () => (await daemon.sync(AbortSignal.timeout(ANSWERS_MS))).last_error);
  assert.match(error.reason, new RegExp(`\\[server\\]\\.port: cannot listen at 127\\.0\\.0\\.1:${port}`));
  if (process.platform === "linux") assert.match(error.reason, new RegExp(`pid ${process.pid}`));
  assert.equal(await client.call("echo", { text: "still here" }), "still here");
  const { backends = [], gateway } = await rig.status();
  assert.deepEqual([backends.map(({ name }) => name), gateway?.url], [["a"], rig.url]);
  // The mend is taken like any edit.
  await rig.edit({ backends: { a: A, b: A } });
});

test("a port that is busy at the start is a condition; shares run, and it is listened at once it is free", async (t) => {
  const home = await liveHome(t);
  const { port, free } = await occupy(t);
  const { command, args } = { command: process.execPath, args: [LIGHT_SERVER] };
  const text = await home.text(["CORE"]);
  await home.writeConfig(
    `${text}[server]\nport = ${port}\n[backends.a]\ncommand = ${JSON.stringify(command)}\nargs = ${JSON.stringify(args)}\n`,
  );
  await home.start();
  await home.untilMounted("CORE");
  const daemon = await home.daemon();
  const status = () => daemon.status(AbortSignal.timeout(ANSWERS_MS));
  const { gateway, backends } = await eventually(async () => {
    const report = await status();
    return report.backends?.[0]?.phase === "Ready" && report;
  });
  assert.equal(gateway?.url, null);
  const [condition] = gateway?.conditions ?? [];
  assert.equal(condition?.code, "listen_failed");
  assert.match(condition?.title ?? "", new RegExp(`\\[server\\]\\.port.*:${port}`));
  assert.match(condition?.hint ?? "", /another \[server\]\.port/);
  assert.equal(backends?.length, 1);
  // The owner's own socket needs no port.
  const { result } = await daemon.gateway.call(
    { tool: "echo", arguments: { text: "inside" } },
    AbortSignal.timeout(ANSWERS_MS),
  );
  assert.match(JSON.stringify(result), /inside/);
  await free();
  await eventually(async () => (await status()).gateway?.url !== null);
  assert.deepEqual(
    (await status()).gateway?.conditions.map(({ code, severity }) => [code, severity]),
    [["auth_open", "info"]],
  );
  await using client = await connectLight(`http://127.0.0.1:${port}/mcp`);
  assert.equal(await client.call("echo", { text: "outside" }), "outside");
});
