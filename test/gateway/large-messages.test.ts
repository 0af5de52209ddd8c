// Messages that are cheap in bytes and dear in values, at each entrance of a daemon: they pass as they came, or are refused by
// name. (Parsed on the daemon's thread, one of them held up everybody for seconds, and 60 MB of them ended it.)
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, request as httpRequest, type IncomingMessage, type RequestOptions } from "node:http";
import type { AddressInfo } from "node:net";
import { connect } from "node:net";
import path from "node:path";
import type { Duplex } from "node:stream";
import { after, before, test } from "node:test";
import { createTestHome, type Monitor, type TestHome } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { rawEcho } from "./backends/programs/raw-echo.ts";

/**
 * Each has more values than are parsed, or a text too long to be; most end with a number that no double holds. None is
 * spelled as it would be if somebody had parsed and written it.
 */
const SHAPES: Readonly<Record<string, string>> = {
  "empty objects": `[${"{ },".repeat(150_000)}1e999]`,
  "nested lists": "[".repeat(100_000) + "]".repeat(100_000),
  "long numbers in texts": `[${'"12345678901234567890", '.repeat(110_000)}1e999]`,
  "small records": `[${'{ "id": 12345678901234567890, "ok": true },'.repeat(40_000)}{}]`,
  "one huge text": `["${"x\\u00e9".repeat(800_000)}",1e999]`,
};

type Call = (tool: string, given: string) => Promise<string>;

let home: TestHome;
let monitor: Monitor | undefined;
let port: number;
const backends = createServer(async (request, response) => {
  if (request.method !== "POST") {
    response.writeHead(405).end();
    return;
  }
  const isStream = request.url === "/stream";
  const answer = rawEcho(await bodyOf(request), isStream ? "stream" : "json");
  response.setHeader("Content-Type", isStream ? "text/event-stream" : "application/json");
  response.statusCode = answer === null ? 202 : 200;
  response.end(answer !== null && isStream ? `data: ${answer}\n\n` : answer);
});

after(async () => {
  await monitor?.[Symbol.asyncDispose]();
  backends.closeAllConnections();
  backends.close();
});

const folder = await temporaryFolder({ after });

before(async () => {
  backends.listen(0, "127.0.0.1");
  await once(backends, "listening");
  const at = `http://127.0.0.1:${(backends.address() as AddressInfo).port}`;
  port = await freePort();
  const program = path.join(import.meta.dirname, "backends/programs/raw-echo.ts");
  const section = (name: string): string => `[backends.${name}]
command = ${JSON.stringify(process.execPath)}
args = ${JSON.stringify([program, name])}
`;
  home = await createTestHome({
    home: folder,
    config: `[trust]
approve = "none"
[server]
port = ${port}
[optimizer]
enabled = true
[authorization]
default_effect = "allow"
[[authorization.policies]]
effect = "deny"
resources = ["tool:judged"]
arguments = { path = ["/etc/*"] }
${["program", "result", "message", "batch", "judged"].map(section).join("")}
${section("fenced")}
folders = ["/tmp"]
[backends.json]
url = "${at}/json"
[backends.stream]
url = "${at}/stream"
`,
  });
  monitor = await home.startMonitor();
  await eventually(async () => {
    const report = await home.glance();
    return report?.backends?.every(({ phase }) => phase === "Ready");
  });
});

const initializeText = (protocolVersion: string): string =>
  JSON.stringify({
    jsonrpc: "2.0",
    id: 0,
    method: "initialize",
    params: { protocolVersion, capabilities: {}, clientInfo: { name: "t", version: "1" } },
  });
const INITIALIZE = initializeText("2025-11-25");

const callText = (tool: string, given: string): string =>
  `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"${tool}","arguments":${given}}}`;

async function bodyOf(message: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of message) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

async function ask(options: RequestOptions, body?: string): Promise<IncomingMessage> {
  const headers = {
    "content-type": "application/json",
    accept: "application/json, text/event-stream",
    ...(body === undefined ? {} : { "content-length": Buffer.byteLength(body) }),
    ...options.headers,
  };
  const request = httpRequest({ host: "127.0.0.1", port, method: "POST", agent: false, ...options, headers });
  request.end(body);
  const [response] = (await once(request, "response")) as [IncomingMessage];
  return response;
}

async function openPosts(version = "2025-11-25"): Promise<(text: string) => Promise<IncomingMessage>> {
  const opened = await ask({ path: "/mcp" }, initializeText(version));
  const headers = { "mcp-session-id": String(opened.headers["mcp-session-id"]) };
  opened.resume();
  return (text) => ask({ path: "/mcp", headers }, text);
}

/** Sends lines, and gives the line that answers the call. */
async function callOverLines(stream: Duplex, output: NodeJS.ReadableStream, text: string): Promise<string> {
  const pieces: string[] = [];
  output.setEncoding("utf8");
  output.on("data", (piece: string) => pieces.push(piece));
  stream.write(`${INITIALIZE}\n`);
  stream.write(`${text}\n`);
  return await eventually(() => {
    const lines = pieces.join("").split("\n").slice(0, -1);
    return lines.find((line) => line.includes('"id":1'));
  });
}

const ENTRANCES: Readonly<Record<string, Call>> = {
  "POST /mcp": async (tool, given) => bodyOf(await (await openPosts())(callText(tool, given))),
  async "a post of HTTP+SSE"(tool, given) {
    const stream = await ask({ path: "/sse", method: "GET" });
    let text = "";
    stream.setEncoding("utf8").on("data", (piece: string) => {
      text += piece;
    });
    const endpoint = await eventually(() => /event: endpoint\ndata: (\S+)\n\n/.exec(text)?.[1]);
    for (const message of [INITIALIZE, callText(tool, given)])
      (await ask({ path: endpoint }, message)).resume();
    const answer = await eventually(() => /data: ([^\n]*"id":1,[^\n]*)\n\n/.exec(text)?.[1]);
    stream.destroy();
    return answer;
  },
  async "mcp.sock"(tool, given) {
    const socket = connect(path.join(home.home, "mcp.sock"));
    const answer = await callOverLines(socket, socket, callText(tool, given));
    socket.destroy();
    return answer;
  },
  async "mountaineer mcp"(tool, given) {
    const launcher = path.resolve(import.meta.dirname, "../../bin/mountaineer");
    const env = { ...process.env, MOUNTAINEER_HOME: home.home };
    const child = spawn(launcher, ["mcp"], { env, stdio: ["pipe", "pipe", "ignore"] });
    const answer = await callOverLines(child.stdin as unknown as Duplex, child.stdout, callText(tool, given));
    child.stdin.end();
    await once(child, "close");
    return answer;
  },
  async "mountaineer.sock"(tool, given) {
    const socketPath = path.join(home.home, "mountaineer.sock");
    return bodyOf(
      await ask({ socketPath, path: "/manage/v1/call" }, `{"tool":"${tool}","arguments":${given}}`),
    );
  },
};

for (const [shape, text] of Object.entries(SHAPES)) {
  for (const [entrance, call] of Object.entries(ENTRANCES))
    test(`E4 D5 ${shape} pass unchanged, both ways: ${entrance}`, async () => {
      const answer = await call("program", `{"m":${text}}`);
      assert.ok(answer.includes(`"structuredContent":{"m":${text}}`), answer.slice(0, 500));
    });
  for (const backend of ["json", "stream"])
    test(`E4 D5 ${shape} pass unchanged, both ways: a server's answer over HTTP, ${backend}`, async () => {
      const answer = await bodyOf(await (await openPosts())(callText(backend, `{"m":${text}}`)));
      assert.ok(answer.includes(`"structuredContent":{"m":${text}}`), answer.slice(0, 500));
    });
}

const MANY = SHAPES["empty objects"];
const MEMBERS = Array.from({ length: 100_001 }, (_, index) => `"${index}":0`).join();

/** 90 members of 60 KB: too long to be parsed before somebody looks. */
const LONG = Array.from({ length: 90 }, (_, index) => `"${index}":"${"x".repeat(60_000)}"`).join();
const REFUSAL = /"code":-32029,"message":"[\d,]+ values are more than the 100,000 that can be read/;

/** What a policy, a folder or a client must see: it is not passed on unseen because the message is large. */
const SEEN: Readonly<Record<string, readonly [tool: string, given: string, answer: RegExp]>> = {
  "a path of a megabyte": [
    "fenced",
    `{"path":"/tmp/${"a/../".repeat(250_000)}../../etc/passwd","pad":"${"x".repeat(4_000_000)}"}`,
    /Not run: arguments.path .* is too long to be checked/,
  ],
  "a path in a long object": ["fenced", `{"m":{"path":"/etc/passwd",${LONG}}}`, /Not run: arguments.m.path/],
  "a path beside very many values": ["fenced", `{"path":"/etc/passwd","m":${MANY}}`, REFUSAL],
  "a path that a policy forbids": ["judged", `{"path":"/etc/passwd",${LONG}}`, /Unknown tool: judged/],
  "the same in a long list": ["judged", `{"path":["/etc/passwd",{${LONG}}]}`, /Unknown tool: judged/],
  "the same beside very many values": [
    "judged",
    `{"path":"/etc/passwd","m":${MANY}}`,
    /Unknown tool: judged/,
  ],
  "the same among very many values": ["judged", `{"path":["/etc/passwd",${MANY}]}`, /Unknown tool: judged/],
  "the same with very many beside it": ["judged", `{"path":"/etc/passwd",${MEMBERS}}`, REFUSAL],
  "a path that a policy allows": [
    "judged",
    `{"path":"/tmp/a","m":${MANY}}`,
    /"structuredContent":\{"path":"\/tmp\/a","m":/,
  ],
};

for (const [what, [tool, given, answer]] of Object.entries(SEEN))
  test(`E2 E4 every check also covers a large message: ${what}`, async () => {
    const found = await bodyOf(await (await openPosts())(callText(tool, given)));
    assert.match(found.slice(0, 2_000), answer);
  });

test("E2 a server gets the value that was checked, not another one with the same key", async () => {
  const given = `{"m":{"path":"/etc/passwd","path":"/tmp/a",${LONG}}}`;
  const found = await bodyOf(await (await openPosts())(callText("fenced", given)));
  assert.match(found, /"path":"\/tmp\/a"/);
  assert.ok(!found.includes("/etc/passwd"));
});

for (const [tool, given] of [
  ["result", `{${MEMBERS}}`],
  ["result", `{"task":${MANY},${MEMBERS}}`],
  ["batch", `{"m":${MANY}}`],
  ["message", `{${MEMBERS}}`],
] as const)
  test(`E4 a call whose answer must be read, and cannot, is refused by name at once: ${tool}, ${given.length} bytes`, async () => {
    assert.match(await bodyOf(await (await openPosts())(callText(tool, given))), REFUSAL);
  });

/** What the gateway itself has to read, and cannot, with the id of its answer. */
const REFUSED: Readonly<Record<string, readonly [text: string, id: number | null]>> = {
  "a batch": [`[${callText("program", `{"m":${MANY}}`)},${INITIALIZE}]`, null],
  "a message of very many members": [`{"jsonrpc":"2.0","id":1,"method":"ping",${MEMBERS}}`, 1],
  "parameters of very many members": [`{"jsonrpc":"2.0","id":1,"method":"ping","params":{${MEMBERS}}}`, 1],
  metadata: [`{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"m":${MANY},${MEMBERS}}}}`, 1],
  "the call within call_tool": [callText("call_tool", `{${MEMBERS}}`), 1],
};

for (const [what, [text, id]] of Object.entries(REFUSED))
  test(`E4 a part that must be read and has too many values is refused by name: ${what}`, async () => {
    const answer = await (await openPosts("2025-03-26"))(text);
    const { error, id: said } = JSON.parse(await bodyOf(answer));
    assert.equal(said, id);
    assert.equal(error.code, -32029);
    assert.match(error.message, /[\d,]+ values are more than the 100,000 that can be read in one message/);
  });
