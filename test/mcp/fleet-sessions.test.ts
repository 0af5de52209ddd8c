// Two real daemons behind a balancer that sends each request to the other one of them, and clients that know nothing of it.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, request as httpRequest, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { ElicitRequestSchema, ToolListChangedNotificationSchema } from "@modelcontextprotocol/sdk/types.js";
import { linesOf, TOOLS_SERVER, writtenIn } from "../fleet/calls/machines.ts";
import { type NatsRig, needsNats, startNats } from "../fleet/nats-rig.ts";
import { eventually } from "../support/eventually.ts";
import { type GatewayRig, handOver, startGatewayRig } from "./gateway-rig.ts";

const TOKENS = { ann: "a-token-of-ann", bob: "a-token-of-bob" };
const user = (name: string, roles: readonly string[]) => ({
  name,
  token: `\${${name.toUpperCase()}}`,
  roles,
});
const BOTH_TYPES = "application/json, text/event-stream";
const NAMES = ["laptop", "desktop"] as const;
type Name = (typeof NAMES)[number];

/** What the docs list for a machine that shares sessions alone. */
function permissionsOf(name: string): string {
  const quoted = (subjects: readonly string[]): string => JSON.stringify(subjects);
  const told = [`$KV.mountaineer_fleet.${name}`, `mountaineer.fleet.${name}.beat`];
  const publish = [...told, `mountaineer.fleet.${name}.rollcall`, `mountaineer.fleet.${name}.call.*`];
  const heard = ["beat", "rollcall", `call.${name}`].map((what) => `mountaineer.fleet.*.${what}`);
  return `publish: ${quoted([...publish, "$JS.>"])}, subscribe: ${quoted([...heard, `_INBOX.${name}.>`])}`;
}

interface Pair {
  readonly nats: NatsRig;
  /** Of the audits, and of what the backends write down. */
  readonly folder: string;
  readonly rigs: Readonly<Record<Name, GatewayRig>>;
  /** Sends each request to the other one of the two. */
  readonly balancer: URL;
  /** Which one got which. */
  readonly sent: readonly (readonly [Name, method: string])[];
  written(name: Name): Promise<readonly string[]>;
}

async function startPair(t: TestContext, { kept = null }: { kept?: Name | null } = {}): Promise<Pair> {
  const permissions = Object.fromEntries(NAMES.map((name) => [name, permissionsOf(name)]));
  const nats = await startNats(t, { permissions });
  const folder = await mkdtemp(path.join(tmpdir(), "mountaineer-test-"));
  const start = async (name: Name, other: Name): Promise<GatewayRig> => {
    const fleet = { name, servers: [nats.url], credentials: "${FLEET_KEY}" };
    const users = [user("ann", ["dev"]), user("bob", name === "laptop" ? ["admin"] : [])];
    const rig = await startGatewayRig(
      t,
      {
        backends: {
          files: { command: process.execPath, args: [TOOLS_SERVER, writtenIn(folder, name)] },
        },
        more: {
          fleet: { ...fleet, sessions: [other] },
          incoming_auth: { type: "local", users },
          audit: { path: `${folder}/${name}.audit` },
          authorization: {
            default_effect: "allow",
            policies: [{ effect: "deny", roles: ["admin"], resources: ["tool:echo"] }],
          },
        },
      },
      { kept: kept === name, env: { FLEET_KEY: nats.key(name).seed, ANN: TOKENS.ann, BOB: TOKENS.bob } },
    );
    await rig.untilReady("files");
    return rig;
  };
  const [laptop, desktop] = await Promise.all([start("laptop", "desktop"), start("desktop", "laptop")]);
  const rigs = { laptop, desktop };
  // Not before the daemons and their servers have ended, which write into it.
  t.after(() => rm(folder, { recursive: true, force: true }));
  const sent: [Name, string][] = [];
  const server = createServer((request, response) => {
    const name = NAMES[sent.length % 2] ?? "laptop";
    const { method = "", headers, url = "" } = request;
    sent.push([name, method]);
    const to = httpRequest(new URL(url, rigs[name].url), { method, headers, agent: false });
    to.on("response", (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      response.flushHeaders();
      answer.pipe(response);
      answer.on("error", () => response.destroy());
    });
    to.on("error", () => response.destroy());
    response.once("close", () => to.destroy());
    request.pipe(to);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    nats,
    folder,
    rigs,
    sent,
    balancer: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`),
    written: (name) => linesOf(writtenIn(folder, name)),
  };
}

/** One request, by somebody. */
async function ask(
  url: string,
  method: string,
  headers: IncomingHttpHeaders,
  message?: object,
  who: keyof typeof TOKENS = "ann",
): Promise<Response> {
  const content = { accept: BOTH_TYPES, "content-type": "application/json" };
  return fetch(url, {
    method,
    headers: { authorization: `Bearer ${TOKENS[who]}`, ...content, ...(headers as Record<string, string>) },
    ...(message === undefined ? {} : { body: JSON.stringify({ jsonrpc: "2.0", ...message }) }),
  });
}

async function initialize(url: string, who: keyof typeof TOKENS = "ann", headers = {}): Promise<string> {
  const clientInfo = { name: "test", version: "1" };
  const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo };
  const answer = await ask(url, "POST", headers, { id: 0, method: "initialize", params }, who);
  await answer.text();
  return answer.headers.get("mcp-session-id") ?? "";
}

const callOf = (id: number, name: string, given: object, meta?: object) => ({
  id,
  method: "tools/call",
  params: { name, arguments: given, ...(meta === undefined ? {} : { _meta: meta }) },
});

test(
  "G1 a client whose every request goes to another gateway notices nothing, and no id or token leaves a machine",
  needsNats,
  async (t) => {
    const { nats, folder, rigs, balancer, sent, written } = await startPair(t);
    const heard: string[] = [];
    const listener = await nats.stranger("stranger");
    listener.subscribe(">", {
      callback: (_, { subject, data }) =>
        void heard.push(`${subject} ${Buffer.from(data).toString("latin1")}`),
    });
    await listener.flush();

    const client = new Client({ name: "test", version: "1" }, { capabilities: { elicitation: {} } });
    const transport = new StreamableHTTPClientTransport(balancer, {
      requestInit: { headers: { authorization: `Bearer ${TOKENS.ann}` } },
    });
    let changes = 0;
    client.setNotificationHandler(ToolListChangedNotificationSchema, () => {
      changes += 1;
    });
    client.setRequestHandler(ElicitRequestSchema, () => ({ action: "accept", content: { word: "blue" } }));
    await client.connect(transport);
    t.after(() => client.close());
    const id = transport.sessionId ?? "";
    const [holder] = id.split(".") as [Name];
    const other = holder === "laptop" ? "desktop" : "laptop";
    assert.ok(NAMES.includes(holder), id);
    const textOf = async (name: string, given: object, onprogress?: () => void): Promise<string> => {
      const answer = await client.callTool(
        { name, arguments: { ...given } },
        undefined,
        onprogress === undefined ? {} : { onprogress },
      );
      return (answer.content as { text: string }[])[0]?.text ?? "";
    };
    await eventually(() => sent.some(([, method]) => method === "GET"));

    for (const mark of ["a", "b", "c", "d"]) assert.equal(await textOf("echo", { mark }), mark);
    for (const mark of ["one", "two"]) {
      let progress = 0;
      assert.equal(
        await textOf("slow", { mark, steps: 5 }, () => {
          progress += 1;
        }),
        mark,
      );
      assert.ok(progress >= 4, `${progress} notices of progress`);
      assert.match(await textOf("ask", { mark }), /blue/u);
      await textOf("grow", { mark });
    }
    await eventually(() => changes >= 1);
    const large = await Promise.all([1, 2].map(() => textOf("large", { length: 2_000_000 })));
    for (const text of large) assert.equal(text, "ü".repeat(2_000_000));
    const posts = sent.filter(([, method]) => method === "POST");
    for (const name of NAMES) assert.ok(posts.filter(([to]) => to === name).length > 5);
    assert.deepEqual(await written(other), []);
    assert.match((await linesOf(`${folder}/${holder}.audit`)).join("\n"), /"ann"/u);

    // The answer of a call that began at one gateway is taken up at the other one, from its last event on.
    const session = { "mcp-session-id": id, "mcp-protocol-version": "2025-11-25" };
    const meta = { progressToken: "p" };
    const begun = await ask(
      rigs[holder].url,
      "POST",
      session,
      callOf(90, "slow", { mark: "x", steps: 20 }, meta),
    );
    const reader = begun.body?.pipeThrough(new TextDecoderStream()).getReader();
    let before = "";
    while (!before.includes('"progress":2')) before += (await reader?.read())?.value ?? "";
    await reader?.cancel();
    const last = /id: (\S+)\n(?!.*\nid: )/su.exec(before)?.[1] ?? "";
    const resumed = await ask(rigs[other].url, "GET", { ...session, "last-event-id": last });
    const rest = await resumed.text();
    assert.match(rest, /"progress":20[\s\S]*"result"/u);
    assert.doesNotMatch(rest, /"progress":1,/u);
    assert.equal((await written(holder)).filter((line) => line === "slow x").length, 1);

    // Somebody else gains nothing by the id, nor does a word of another protocol version.
    const foreign = await ask(rigs[other].url, "POST", session, callOf(91, "echo", {}), "bob");
    assert.equal(foreign.status, 404);
    assert.match(await foreign.text(), /initialize again/u);
    const old = await ask(
      rigs[other].url,
      "POST",
      { ...session, "mcp-protocol-version": "1" },
      callOf(92, "echo", {}),
    );
    assert.equal(old.status, 400);

    await transport.terminateSession();
    await Promise.all(
      NAMES.map(async (name) => {
        const late = await ask(rigs[name].url, "POST", session, callOf(93, "echo", {}));
        assert.equal(late.status, 404);
      }),
    );
    await listener.flush();
    const all = heard.join("\n");
    assert.match(all, /mountaineer-caller/u);
    for (const secret of [id, id.slice(holder.length + 1), ...Object.values(TOKENS)]) {
      assert.ok(!all.includes(secret), "a secret left its machine");
    }
  },
);

test(
  "G1 roles apply where both machines give them, made-up ids are soon ignored, and a holder that dies is reported",
  needsNats,
  async (t) => {
    const { rigs, written } = await startPair(t);
    // Here bob is no admin, to whom echo is denied; at the laptop he is.
    const bobs = await initialize(rigs.desktop.url, "bob");
    const bobsSession = { "mcp-session-id": bobs, "mcp-protocol-version": "2025-11-25" };
    const answer = await ask(rigs.laptop.url, "POST", bobsSession, callOf(1, "echo", { mark: "m" }), "bob");
    assert.match(await answer.text(), /"text":"m"/u);
    const own = await initialize(rigs.laptop.url, "bob");
    const denied = await ask(
      rigs.laptop.url,
      "POST",
      { "mcp-session-id": own },
      callOf(1, "echo", {}),
      "bob",
    );
    assert.match(await denied.text(), /unknown/iu);
    const statuses: number[] = [];
    for (let count = 0; count < 31; count += 1) {
      const made = `desktop.${String(count).padStart(32, "x")}`;
      const refused = await ask(
        rigs.laptop.url,
        "POST",
        { "mcp-session-id": made },
        callOf(1, "echo", {}),
        "bob",
      );
      await refused.text();
      statuses.push(refused.status);
    }
    assert.deepEqual([statuses[0], statuses[29], statuses[30]], [404, 404, 429]);
    // A client that names its old session when it begins anew is served here.
    const begun = await initialize(rigs.laptop.url, "bob", { "mcp-session-id": `desktop.${"y".repeat(32)}` });
    assert.match(begun, /^laptop\./u);
    const again = await ask(rigs.laptop.url, "POST", bobsSession, callOf(2, "echo", { mark: "n" }), "bob");
    assert.match(await again.text(), /"text":"n"/u);

    // A client of the older transport listens at the one, and posts to the other.
    const listening = await ask(new URL("/sse", rigs.desktop.url).href, "GET", {});
    const reader = listening.body?.pipeThrough(new TextDecoderStream()).getReader();
    let heard = "";
    const hears = async (pattern: RegExp): Promise<string> => {
      while (!pattern.test(heard)) heard += (await reader?.read())?.value ?? "";
      return pattern.exec(heard)?.[1] ?? "";
    };
    const endpoint = new URL(await hears(/data: (\/messages\S+)/u), rigs.laptop.url).href;
    const params = {
      protocolVersion: "2024-11-05",
      capabilities: {},
      clientInfo: { name: "t", version: "1" },
    };
    const posted = await ask(endpoint, "POST", {}, { id: 1, method: "initialize", params });
    assert.equal(posted.status, 202);
    await ask(endpoint, "POST", {}, callOf(2, "echo", { mark: "older" }));
    await hears(/"text":"(older)"/u);
    assert.equal((await ask(endpoint, "POST", {}, callOf(3, "echo", {}), "bob")).status, 404);
    await reader?.cancel();

    // The machine that holds a session dies.
    const id = await initialize(rigs.desktop.url);
    const session = { "mcp-session-id": id, "mcp-protocol-version": "2025-11-25" };
    const first = await ask(rigs.laptop.url, "POST", session, callOf(1, "echo", { mark: "m" }));
    assert.match(await first.text(), /"text":"m"/u);
    const waiting = ask(rigs.laptop.url, "POST", session, callOf(2, "slow", { mark: "long" }));
    await eventually(async () => (await written("desktop")).includes("slow long"));
    await rigs.desktop.goDown("SIGKILL");
    // It had been sent: nobody knows what became of it, and nobody makes it again.
    const lost = await waiting;
    const words = await lost.text().catch(() => "");
    if (lost.status !== 200) {
      assert.equal(lost.status, 502, words);
      assert.match(words, /"id":2[\s\S]*not known whether/u);
    }
    const told = await ask(rigs.laptop.url, "POST", session, callOf(3, "echo", {}));
    assert.equal(told.status, 404);
    assert.match(await told.text(), /the gateway with this session \(desktop\) is away; initialize again/u);
    const { conditions = [] } = (await rigs.laptop.status()).global;
    assert.ok(conditions.some(({ code }) => code === "fleet_sessions_away"));
    const anew = await initialize(rigs.laptop.url);
    assert.match(anew, /^laptop\./u);
    const next = await ask(
      rigs.laptop.url,
      "POST",
      { "mcp-session-id": anew },
      callOf(1, "echo", { mark: "n" }),
    );
    assert.match(await next.text(), /"text":"n"/u);
    assert.deepEqual(await written("laptop"), ["echo n"]);
  },
);

test(
  "G1 B11 a machine hands over: its sessions continue, even by way of the other one, and no call is made twice",
  needsNats,
  async (t) => {
    const { rigs, written } = await startPair(t, { kept: "desktop" });
    const id = await initialize(rigs.desktop.url);
    const session = { "mcp-session-id": id, "mcp-protocol-version": "2025-11-25" };
    const long = ask(rigs.laptop.url, "POST", session, callOf(1, "slow", { mark: "long", steps: 100 }));
    await eventually(async () => (await written("desktop")).includes("slow long"));
    const texts: string[] = [];
    let isOver = false;
    const calling = (async () => {
      for (let mark = 2; !isOver; mark += 1) {
        const answer = await ask(
          rigs.laptop.url,
          "POST",
          session,
          callOf(mark, "echo", { mark: `m${mark}` }),
        );
        texts.push(`${answer.status} ${/"text":"(\w+)"/u.exec(await answer.text())?.[1]}`);
      }
    })();
    const { from, to } = await handOver(rigs.desktop);
    assert.notEqual(from, to);
    assert.match(await (await long).text(), /"text":"long"/u);
    const soFar = texts.length;
    await eventually(() => texts.length > soFar + 2);
    isOver = true;
    await calling;
    assert.deepEqual(
      texts,
      texts.map((_, index) => `200 m${index + 2}`),
    );
    const direct = await ask(rigs.desktop.url, "POST", session, callOf(9_999, "echo", { mark: "direct" }));
    assert.match(await direct.text(), /"text":"direct"/u);
    const lines = await written("desktop");
    assert.equal(new Set(lines).size, lines.length, "a call was made twice");
  },
);
