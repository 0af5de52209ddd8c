// Servers with an account for each user, with a real daemon: each sees what his own secret shows, and nobody another's.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { appendFile, readdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { TASKS_SERVER } from "../../mcp/fixture-programs.ts";
import { TASKS } from "../../mcp/fixtures/task-tools.ts";
import { connectLight } from "../../mcp/light-client.ts";
import { ask, textOf } from "../../mcp/modern-wire.ts";
import { ends } from "../../support/ends.ts";
import { eventually } from "../../support/eventually.ts";
import { freePort } from "../../support/free-port.ts";
import { missingForSandbox } from "../../support/sandbox.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { runCommand, serveHere } from "../command-line.ts";

const withSandbox = { skip: missingForSandbox() ?? false };

/** Tools `whoami`, which tells the account, and `sum`, which counts the calls of its process. */
const ANSWER = `
let calls = 0;
const at = new Date(0).toISOString();
const task = { taskId: "one-for-all", status: "completed", createdAt: at, lastUpdatedAt: at, ttl: null };
const answer = ({ id, method, params }, who) => {
  const result = method === "initialize"
    ? { protocolVersion: "2025-11-25", capabilities: { tools: {}, resources: { subscribe: true }, tasks: { list: {}, requests: { tools: { call: {} } } } }, serverInfo: { name: "who", version: "1" } }
    : method === "tools/list" ? { tools: [{ name: "whoami", inputSchema: { type: "object" }, execution: { taskSupport: "optional" } }] }
    : method === "tools/call" && params.task ? { task: { ...task, status: "working" } }
    : method === "tasks/list" ? { tasks: [task] } : method === "tasks/get" ? task
    : method === "tasks/result" ? { content: [{ type: "text", text: who }] }
    : method === "resources/list" ? { resources: [{ uri: "note:" + who, name: who }] }
    : method === "resources/templates/list" ? { resourceTemplates: [] }
    : method === "resources/read" ? { contents: [{ uri: params.uri, text: who }] }
    : method === "tools/call" ? { content: [{ type: "text", text: who + " " + process.pid + " " + (calls += 1) }] } : {};
  return { jsonrpc: "2.0", id, result };
};
`;
const PROGRAM = `${ANSWER}
let text = "";
process.stdin.on("data", (data) => {
  text += data;
  const lines = text.split("\\n");
  text = lines.pop();
  for (const line of lines) {
    const message = JSON.parse(line);
    if (message.id !== undefined) console.log(JSON.stringify(answer(message, process.env.WHO)));
  }
});
`;

/** A remote server that knows its callers by their keys. */
async function startRemote(t: TestContext): Promise<{ readonly url: string }> {
  const answer = new Function("process", `${ANSWER} return answer;`)(process);
  const server = createServer((request, response) => {
    let text = "";
    request.on("data", (data) => (text += data));
    request.on("end", () => {
      const message = text === "" ? {} : JSON.parse(text);
      const who = String(request.headers.authorization).replace("Bearer ", "");
      const status = request.method !== "POST" ? 405 : message.id === undefined ? 202 : 200;
      response.writeHead(status, { "content-type": "application/json" });
      response.end(status === 200 ? JSON.stringify(answer(message, who)) : "");
    });
  }).listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp` };
}

async function startHome(t: TestContext) {
  const [home, port, remote] = await Promise.all([temporaryFolder(t), freePort(), startRemote(t)]);
  const folder = await temporaryFolder(t);
  await writeFile(join(folder, "who.mjs"), PROGRAM);
  const config = `[server]
port = ${port}
[backends.own]
accounts = "each"
command = ${JSON.stringify(process.execPath)}
args = [${JSON.stringify(join(folder, "who.mjs"))}]
cwd = ${JSON.stringify(folder)}
env = { WHO = "\${user:key}" }
sandbox = { kind = "bubblewrap", read = [${JSON.stringify(folder)}, ${JSON.stringify(dirname(process.execPath))}] }
tool_overrides.whoami.name = "own"
[backends.far]
accounts = "each"
url = "${remote.url}"
headers = { Authorization = "Bearer \${user:key}" }
tool_overrides.whoami.name = "far"
[incoming_auth]
type = "local"
users = [{ name = "ann", token = "secret:ann" }, { name = "ben", token = "secret:ben" }]
`;
  const file = join(home, "config.toml");
  await writeFile(file, config);
  const run = (args: readonly string[], stdin?: string) =>
    runCommand(args, { home, ...(stdin !== undefined && { input: stdin }) });
  const tokens = { ann: "anns-token-of-20-letters", ben: "bens-token-of-20-letters" };
  for (const [name, token] of Object.entries(tokens)) await ends(run(["secret", "set", name], token), 0);
  await ends(run(["users", "secret", "set", "--owner", "key"], "for-the-owner"), 0);
  await ends(run(["users", "secret", "set", "ann", "key"], "for-ann"), 0);
  let served = await serveHere({ home });
  await eventually(async () => /own[\s\S]*far|far[\s\S]*own/.test((await run(["tools", "list"])).stdout));
  const url = `http://127.0.0.1:${port}/mcp`;
  const more = {
    /** The text of the call's answer, or of its error. */
    async whose(tool: string, token: string, isModern = false): Promise<string> {
      if (isModern) {
        const headers = { authorization: `Bearer ${token}` };
        const reply = await ask(url, "tools/call", { name: tool, arguments: {} }, { headers });
        return reply.error?.message ?? textOf(reply);
      }
      await using client = await connectLight(url, { token });
      const reply = await client.ask("tools/call", { name: tool, arguments: {} });
      return "error" in reply ? reply.error.message : Object(reply.result["content"])[0].text;
    },
    /** As `whose`, for the owner. */
    async called(tool: string): Promise<string> {
      const { stdout, stderr } = await run(["call", tool]);
      return stdout + stderr;
    },
    /** The processes of the program's instances, without those around them. */
    async programs(): Promise<number[]> {
      const { pid } = process;
      const found = await promisify(execFile)("ps", ["-eo", "pid=,args="]);
      const lines = found.stdout
        .split("\n")
        .filter((line) => line.includes(`node ${join(folder, "who.mjs")}`));
      return lines
        .filter((line) => !line.includes("bwrap"))
        .map((line) => Number.parseInt(line, 10))
        .filter((one) => one !== pid);
    },
    /** The token of the newest secret. */
    async token(): Promise<string> {
      const [, name = ""] =
        /name = "ann", token = "secret:([\w-]+)"/.exec(await readFile(file, "utf8")) ?? [];
      return JSON.parse(await readFile(join(home, "secrets.json"), "utf8")).secrets[name].value;
    },
    async write(text: string): Promise<void> {
      await writeFile(file, text);
      await ends(run(["reload"]), 0);
    },
    async again(): Promise<void> {
      await served.stop();
      served = await serveHere({ home });
      await eventually(async () => (await run(["tools", "list"])).stdout.includes("slow_compute"));
    },
    /** The files of the home that hold the text. */
    async kept(text: string): Promise<string[]> {
      const files = await readdir(home, { recursive: true, withFileTypes: true });
      const read = files
        .filter((one) => one.isFile())
        .map(async (one) => {
          const path = join(one.parentPath, one.name);
          return (await readFile(path)).includes(text) ? [path] : [];
        });
      return (await Promise.all(read)).flat();
    },
  };
  return {
    ...more,
    home,
    file,
    url,
    run,
    tokens,
    [Symbol.asyncDispose]: async () => void (await served.stop()),
  };
}

const USERS = ["ann", "ben"] as const;

test(
  "E1 E2 at a server with an account for each user, everybody sees what the own secret shows, in both protocols and over kills, and the owner's lists",
  withSandbox,
  async (t) => {
    await using b = await startHome(t);
    const missing = await b.whose("own", b.tokens.ben);
    assert.match(
      missing,
      /secret key of user ben \(the owner stores it: mountaineer users secret set ben key\)/,
    );
    await ends(b.run(["users", "secret", "set", "ben", "key"], "for-ben"), 0, /key of ben is stored/);
    const pids = new Set<number>();
    const one = async (at: number): Promise<void> => {
      const [tool, who] = [at % 2 === 0 ? "own" : "far", [...USERS, "the-owner"][at % 3] ?? ""];
      const text =
        who === "the-owner"
          ? await b.called(tool)
          : await b.whose(tool, b.tokens[who === "ann" ? "ann" : "ben"], at % 4 < 2);
      const [whose, pid] = text.split(" ");
      if (whose?.startsWith("for-") === true) assert.equal(whose, `for-${who}`);
      else assert.match(text, /ended|exited|running|started|not repeated/);
      if (tool === "own") pids.add(Number(pid));
    };
    for (let round = 0; round < 5; round += 1) {
      await Promise.all(Array.from({ length: 40 }, (_, at) => one(at + round)));
      for (const pid of await b.programs()) process.kill(pid, "SIGKILL");
    }
    for (const name of USERS)
      await eventually(async () => (await b.whose("own", b.tokens[name])).startsWith(`for-${name}`));
    await using client = await connectLight(b.url, { token: b.tokens.ann });
    assert.deepEqual(await client.request("resources/list"), { resources: [] });
    await assert.rejects(client.request("resources/read", { uri: "note:for-the-owner" }), /not found/);
    assert.deepEqual([await b.kept("for-ann"), await b.kept("for-ben")], [[], []], "no value is in the home");
    await appendFile(join(b.home, "mountaineer.log"), '{"message": "for-ann and for-ben"}\n');
    await b.run(["doctor", "--report", join(b.home, "report.md")]);
    assert.match(await readFile(join(b.home, "report.md"), "utf8"), /\[redacted\] and \[redacted\]/);
    const { stdout } = await b.run(["access", "--role", "x"]);
    assert.match(stdout, /own\n {4}denied by accounts = "each": for users of the file only: everything/);
  },
);

test(
  "E1 an account ends with the user's entry: a later user of that name gets none of its secrets, and a new token keeps them",
  withSandbox,
  async (t) => {
    await using b = await startHome(t);
    assert.match(await b.whose("own", b.tokens.ann), /^for-ann/);
    assert.equal((await b.run(["users", "renew", "ann"])).code, 0);
    assert.match(await b.whose("own", b.tokens.ann), /^for-ann \d+ 2/, "the same instance");
    const renewed = await b.token();
    assert.match(await b.whose("own", renewed), /^for-ann \d+ 3/);
    for (const value of ["first", "second"]) {
      await ends(b.run(["users", "secret", "set", "ben", "key"], `for-ben-${value}`), 0);
      await eventually(async () => (await b.whose("own", b.tokens.ben)).startsWith(`for-ben-${value}`));
    }
    assert.match(await b.whose("own", renewed), /^for-ann \d+ 4/, "a new value of Ben's restarts only his");
    assert.equal((await b.run(["users", "renew", "ann", "--overlap", "0"])).code, 0);
    const last = await b.token();
    await eventually(async () => (await b.whose("own", last)).startsWith("for-ann"));

    const before = await readFile(b.file, "utf8");
    await ends(b.run(["secret", "set", "later"], "a-token-of-a-later-ann"), 0);
    await b.write(before.replace(/(name = "ann", token = )"[^"]*"/, '$1"secret:later"'));
    assert.match(await b.whose("own", "a-token-of-a-later-ann"), /secret key of user ann/);
    // Only the owner's instance and Ben's run.
    await eventually(async () => (await b.programs()).length === 2);
    await b.write(before);
    await eventually(async () => (await b.whose("own", last)).startsWith("for-ann"));

    await ends(b.run(["users", "remove", "ann"]), 0);
    await eventually(async () => (await b.programs()).length === 2);
    assert.equal(
      (await readdir(join(b.home, "user-secrets"))).filter(
        (name) => name.startsWith("user-") && name.endsWith(".json"),
      ).length,
      1,
      "Ben's",
    );
  },
);

test(
  "E1 E2 accounts of users are refused where one account or another's eyes would get them",
  withSandbox,
  async (t) => {
    await using b = await startHome(t);
    const before = await readFile(b.file, "utf8");
    for (const [from, to, found] of [
      [/accounts = "each"\ncommand/, "command", /own\.env\.WHO[\s\S]*for servers with `accounts = "each"`/],
      [/sandbox = .*\n/, "", /own\.sandbox[\s\S]*\/proc/],
      [/args = \[/, 'args = ["${user:key}", ', /own\.args\[0\]/],
      [/port = /, 'session_key = ["secret:k"]\nport = ', /own\.accounts[\s\S]*session_key/],
      [/cwd = /, 'replace = "stop-first"\ncwd = ', /own\.replace/],
      [/Bearer \$\{user:key\}/, "Bearer ${KEY}", /far\.headers/],
      [/headers = .*\n/, 'auth.type = "client-credentials"\n', /far\.auth\.type/],
    ] as const) {
      await writeFile(b.file, before.replace(from, to));
      assert.match((await b.run(["config", "validate"])).stderr, found);
    }
  },
);

test(
  "E1 a session, an event, a task and a subscription of one user are of no use to another, though servers number them alike",
  withSandbox,
  async (t) => {
    await using b = await startHome(t);
    await ends(b.run(["users", "secret", "set", "ben", "key"], "for-ben"), 0);
    const connected = (name: "ann" | "ben") => connectLight(b.url, { token: b.tokens[name] });
    const taskId = "one-for-all";
    for (const tool of ["own", "far"]) {
      await using ann = await connected("ann");
      await using ben = await connected("ben");
      await ann.request("tools/call", { name: tool, arguments: {}, task: {} });
      for (const method of ["tasks/get", "tasks/result", "tasks/cancel"])
        await assert.rejects(ben.request(method, { taskId }), /Unknown task/, "Ann's");
      assert.deepEqual((await ben.request("tasks/list"))["tasks"], []);
      await ben.request("tools/call", { name: tool, arguments: {}, task: {} });
      for (const [client, text] of [
        [ann, "for-ann"],
        [ben, "for-ben"],
      ] as const)
        assert.deepEqual((await client.request("tasks/result", { taskId }))["content"], [
          { type: "text", text },
        ]);
    }
    // Tasks of the next generation, whose ids a server gives on its own.
    const server = `[backends.modern]\naccounts = "each"\ncommand = "${process.execPath}"\nargs = ["${TASKS_SERVER}"]\n`;
    await b.write((await readFile(b.file, "utf8")) + server);
    await eventually(async () => (await b.run(["tools", "list"])).stdout.includes("slow_compute"));
    const modern = (name: "ann" | "ben", method: string, params: Record<string, unknown>) => {
      const headers = { authorization: `Bearer ${b.tokens[name]}` };
      return ask(b.url, method, params, { headers, capabilities: { extensions: { [TASKS]: {} } } });
    };
    const compute = { name: "slow_compute", arguments: { seconds: 600 } };
    const made = [await modern("ann", "tools/call", compute), await modern("ben", "tools/call", compute)];
    const [hers, his] = made.map(({ result }) => ({ taskId: result?.["taskId"] }));
    const unknown = async (name: "ann" | "ben", params = {}) => {
      for (const method of ["tasks/get", "tasks/update", "tasks/cancel"]) {
        const { error } = await modern(name, method, { inputResponses: {}, ...params });
        assert.match(`${error?.code} ${error?.message}`, /^-32602 Unknown task/);
      }
    };
    await unknown("ben", hers);
    await unknown("ann", his);
    for (const [name, params] of [
      ["ann", hers],
      ["ben", his],
    ] as const)
      assert.equal((await modern(name, "tasks/get", { ...params })).result?.["status"], "working");
    await b.again();
    await unknown("ben", hers);
    await unknown("ann", hers);
    assert.equal(
      (await modern("ben", "tasks/cancel", { ...his })).error?.code,
      -32602,
      "its process has ended",
    );
    await using ann = await connected("ann");
    await using ben = await connected("ben");
    await assert.rejects(ben.request("resources/subscribe", { uri: "note:for-the-owner" }), /not found/);
    const session = { "mcp-session-id": ann.sessionId ?? "", "mcp-protocol-version": "2025-11-25" };
    const accept = { accept: "application/json, text/event-stream", "content-type": "application/json" };
    const statusAs = async (name: "ann" | "ben", method: string, more = {}, sent: object | null = null) => {
      const headers = { authorization: `Bearer ${b.tokens[name]}`, ...accept, ...session, ...more };
      const body = sent === null ? {} : { body: JSON.stringify({ jsonrpc: "2.0", ...sent }) };
      const response = await fetch(b.url, { method, headers, ...body });
      await response.body?.cancel();
      return response.status;
    };
    const call = { id: 7, method: "tools/call", params: { name: "own", arguments: {} } };
    assert.equal(await statusAs("ann", "POST", {}, call), 200);
    for (const [method, more, sent] of [
      ["POST", {}, call],
      ["POST", {}, { method: "notifications/cancelled", params: { requestId: 7 } }],
      ["GET", {}, null],
      ["GET", { "last-event-id": "1" }, null],
      ["DELETE", {}, null],
    ] as const)
      assert.equal(
        await statusAs("ben", method, more, sent),
        404,
        `${method} ${JSON.stringify(sent ?? more)}`,
      );
    assert.match(await ann.call("far"), /^for-ann/, "Ann's session goes on");
    await ends(b.run(["users", "remove", "ann"]), 0);
    await unknown("ben", hers);
  },
);
