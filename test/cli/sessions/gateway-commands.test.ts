import assert from "node:assert/strict";
import { appendFile, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Duplex } from "node:stream";
import { describe, type TestContext, test } from "node:test";
import type { ClientStatus } from "../../../src/api/contract/contract.ts";
import { startMcpSocket } from "../../../src/api/socket/mcp-socket.ts";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import { startRig } from "../../api/management-rig.ts";
import {
  CHANGES_MEANWHILE,
  gatewayReport,
  noGateway,
  type ScriptedGateway,
  sampleBackend,
  sampleTool,
  sampleToolChange,
  scriptedGateway,
} from "../../api/sample-gateway.ts";
import { scriptedControl } from "../../api/sample-report.ts";
import { assertEach } from "../../support/assert-each.ts";
import { ends } from "../../support/ends.ts";
import { eventually } from "../../support/eventually.ts";
import { pluck } from "../../support/pluck.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { COMMAND, type Running, runCommand, startCommand } from "../command-line.ts";

const failed = sampleBackend({
  name: "web",
  phase: "Failed",
  reason: "spawn uvx ENOENT",
  tools: 0,
  resources: 0,
});

async function startGatewayRig(t: TestContext, gateway: ScriptedGateway = scriptedGateway()) {
  const report = gatewayReport([sampleBackend(), failed]);
  return { gateway, report, ...(await startRig(t, { control: scriptedControl(report), gateway })) };
}

/** Ctrl-C ends it, once a backend has written its pid there, and that backend as well. */
async function assertStoppable({ child, ended }: Running, pidFile: string): Promise<void> {
  const pid = await eventually(async () => {
    const text = await readFile(pidFile, "utf8").catch(() => "");
    return text === "" ? null : Number(text);
  });
  child.kill("SIGINT");
  await ends(ended, 130, "", "mountaineer: stopped by SIGINT\n");
  assert.throws(() => process.kill(pid, 0), { code: "ESRCH" });
}

describe("the commands about the gateway, with a daemon", { concurrency: 2 }, () => {
  test("backends list prints each one; --json is the daemon's report of them", async (t) => {
    const { home, report } = await startGatewayRig(t);
    const human = await runCommand(["backends", "list"], { home });
    assert.deepEqual([human.code, human.stderr], [0, ""]);
    assert.match(human.stdout, /^● files {2}Ready .*14 tools.*\n✗ web {4}Failed[\s\S]*spawn uvx ENOENT/);
    const json = await runCommand(["backends", "list", "--json"], { home });
    assert.equal(json.stdout, `${JSON.stringify({ backends: report.backends }, null, 2)}\n`);
  });

  test("tools list prints each tool with its backend, and names on stderr the backends that publish nothing", async (t) => {
    const { home } = await startGatewayRig(t);
    const human = await runCommand(["tools", "list"], { home });
    assert.equal(human.code, 0);
    assert.equal(human.stdout, "read_file   files  Reads a file.\nwrite_file  files  Reads a file.\n");
    assert.match(human.stderr, /^mountaineer: server web: Failed for .*: spawn uvx ENOENT\n$/);
    const json = await runCommand(["tools", "list", "--json"], { home });
    assert.deepEqual(JSON.parse(json.stdout), {
      tools: [sampleTool(), sampleTool({ name: "write_file", original_name: "write_file" })],
    });
  });

  test("clients lists the connected clients, and their failed calls; without a daemon there are none", async (t) => {
    const { home } = await startGatewayRig(t);
    const human = await runCommand(["clients"], { home });
    assert.deepEqual([human.code, human.stderr], [0, ""]);
    assert.match(
      human.stdout,
      /^Client +User +Speaks .*\nclaude-code 2\.1\.0 +ann +2025-11-25 over HTTP +\d+ d.* 12 +\d+ d.* ago +no such file \(\d+ d.* ago\)\n$/,
    );
    const json: { clients: ClientStatus[] } = JSON.parse(
      (await runCommand(["clients", "--json"], { home })).stdout,
    );
    assert.deepEqual(pluck(json.clients, "name", "calls"), [["claude-code", 12]]);
    assert.equal((await runCommand(["clients"], { home: await temporaryFolder(t) })).code, 8);
  });

  test("tools disable and enable report each tool's result; disabled tools come last in tools list", async (t) => {
    const { home, gateway } = await startGatewayRig(t);
    const off = await runCommand(["tools", "disable", "read_file", "write_file"], { home });
    assert.deepEqual([off.code, off.stdout], [0, "read_file is off\nwrite_file is off\n"]);
    assert.equal((await runCommand(["tools", "enable", "read_file"], { home })).stdout, "read_file is on\n");
    assert.deepEqual(pluck(gateway.calls, "request"), [
      { tools: ["read_file", "write_file"], on: false },
      { tools: ["read_file"], on: true },
    ]);
    const unknown = await runCommand(["tools", "disable", "read_fil"], { home });
    assert.equal(unknown.code, 2);
    assert.match(unknown.stderr, /read_fil[\s\S]*did you mean read_file/);
    const listing = {
      ...gateway,
      tools: async () => ({ tools: [], off: [{ name: "gone", backend: "files" }] }),
    };
    const other = await startGatewayRig(t, listing);
    assert.equal((await runCommand(["tools", "list"], other)).stdout, "gone  files  (switched off)\n");
  });

  test("call passes its arguments on, from the command line or stdin, and prints the tool's answer", async (t) => {
    const result = { content: [{ type: "text", text: "a\tb\nc" }], structuredContent: { x: 1 } };
    const { home, gateway } = await startGatewayRig(
      t,
      scriptedGateway(() => ({ result, error: null })),
    );
    await ends(runCommand(["call", "read_file", '{"path":"/tmp"}'], { home }), 0, "a\tb\nc\n", "");
    const json = await runCommand(["call", "read_file", "-", "--json"], { home, input: '{"path":"ü"}' });
    assert.deepEqual([json.code, JSON.parse(json.stdout), json.stderr], [0, result, ""]);
    assert.equal((await runCommand(["call", "read_file"], { home })).code, 0);
    assert.deepEqual(pluck(gateway.calls, "request"), [
      { tool: "read_file", arguments: { path: "/tmp" } },
      { tool: "read_file", arguments: { path: "ü" } },
      { tool: "read_file", arguments: {} },
    ]);
  });

  test("a tool's error is on stderr with exit code 1; with --json its answer is still on stdout", async (t) => {
    const result = { content: [{ type: "text", text: "no such file\nat all" }], isError: true };
    const { home } = await startGatewayRig(
      t,
      scriptedGateway(() => ({ result, error: null })),
    );
    await ends(runCommand(["call", "read_file"], { home }), 1, "", "mountaineer: no such file\n  at all\n");
    const json = await runCommand(["call", "read_file", "--json"], { home });
    assert.deepEqual([json.code, JSON.parse(json.stdout)], [1, result]);
    const error = { code: -32001, message: "no answer within 60 s" };
    const late = await startGatewayRig(
      t,
      scriptedGateway(() => ({ result: null, error })),
    );
    const timedOut = await runCommand(["call", "read_file", "--json"], { home: late.home });
    assert.deepEqual([timedOut.code, JSON.parse(timedOut.stdout).error.code], [1, "tool_failed"]);
    assert.match(timedOut.stderr, /no answer within 60 s \(error -32001\)/);
  });

  test("G1 B7 a call that was in flight when its backend went reports it, though its tool is gone by then", async (t) => {
    const error = { code: -32000, message: "the call was sent, and may have been done" };
    const { home } = await startGatewayRig(t, {
      ...scriptedGateway(() => ({ result: null, error })),
      tools: async () => ({ tools: [] }),
    });
    await ends(runCommand(["call", "read_file"], { home }), 1, "", /may have been done/);
  });

  test("an unknown tool or backend is exit code 2 with the name probably meant", async (t) => {
    const { home } = await startGatewayRig(t);
    const tool = await runCommand(["call", "raed_file"], { home });
    assert.deepEqual([tool.code, tool.stdout], [2, ""]);
    assert.match(tool.stderr, /no tool named "raed_file"\n {2}hint: did you mean read_file\?/);
    for (const args of [
      ["restart", "flies"],
      ["logs", "flies"],
    ]) {
      const { code, stderr } = await runCommand(["backends", ...args], { home });
      assert.equal(code, 2);
      assert.match(stderr, /no server named "flies"\n {2}hint: did you mean files\?/);
    }
    const bad = await runCommand(["call", "read_file", "{path:1}"], { home });
    assert.equal(bad.code, 2);
    assert.match(bad.stderr, /the arguments are not JSON/);
  });

  test("restart requires names or --all, and reports what it has begun", async (t) => {
    const { home, gateway } = await startGatewayRig(t);
    await ends(runCommand(["backends", "restart"], { home }), 2, null, /hint: name them, or say --all/);
    assert.equal((await runCommand(["backends", "restart", "web", "--all"], { home })).code, 2);
    assert.deepEqual(gateway.calls, []);
    await ends(runCommand(["backends", "restart", "web", "web"], { home }), 0, "✓ web  is restarted\n");
    const all = await runCommand(["backends", "restart", "--all", "--json"], { home });
    assert.deepEqual(JSON.parse(all.stdout), { restarted: ["files", "web"] });
    assert.deepEqual(pluck(gateway.calls, "request"), [["web"], null]);
  });

  test("logs prints the lines unchanged", async (t) => {
    const { home } = await startGatewayRig(t);
    await ends(runCommand(["backends", "logs", "web"], { home }), 0, "web started\nlistening\n");
  });

  test("Ctrl-C cancels a call, and the daemon is notified of it", async (t) => {
    const { home, gateway } = await startGatewayRig(
      t,
      scriptedGateway(() => new Promise(() => {})),
    );
    const { child, ended } = startCommand(["call", "read_file"], { home });
    const call = await eventually(() => gateway.calls[0]);
    child.kill("SIGINT");
    await ends(ended, 130, "", "mountaineer: stopped by SIGINT\n");
    await eventually(() => call.signal.aborted);
  });

  test("without a gateway each says so, with the fix", async (t) => {
    const { home } = await startRig(t, { gateway: noGateway() });
    for (const [what, empty] of [
      ["tools", { tools: [] }],
      ["backends", { backends: [] }],
    ] as const) {
      const { code, stdout, stderr } = await runCommand([what, "list"], { home });
      assert.deepEqual([code, stdout], [0, ""], what);
      assert.match(stderr, /no gateway is configured[^\n]*; add a server \(mountaineer backends add NAME/);
      const json = await runCommand([what, "list", "--json"], { home });
      assert.deepEqual([json.code, JSON.parse(json.stdout)], [0, empty]);
    }
    for (const args of [["call", "x"], ["backends", "logs", "x"], ["mcp"]]) {
      const { code, stdout, stderr } = await runCommand(args, { home, input: "" });
      // A bridge whose client leaves at once may not have learned it.
      if (args[0] === "mcp" && code === 0) continue;
      assert.deepEqual([code, stdout], [1, ""], args.join(" "));
      assert.match(stderr, /no gateway is configured[\s\S]*hint: add a server/);
    }
  });

  test("mcp carries bytes to the daemon's MCP socket and back, and ends when the client has", async (t) => {
    const home = await temporaryFolder(t);
    // Answers what the bridge itself asks, and sends all else back.
    const serve = (stream: Duplex): void => {
      const lines = createInterface({ input: stream });
      lines.on("line", (line) => {
        const { id } = JSON.parse(line);
        stream.write(
          id === undefined ? `${line}\n` : `${JSON.stringify({ jsonrpc: "2.0", id, result: {} })}\n`,
        );
      });
      lines.on("close", () => stream.end());
    };
    const socket = await startMcpSocket({ home, serve, logger: noopLogger });
    t.after(() => socket[Symbol.asyncDispose]());
    const control = scriptedControl(gatewayReport());
    await startRig(t, { home, control, gateway: scriptedGateway(), mcpSocket: socket.socketPath });
    const sent = `${JSON.stringify({ jsonrpc: "2.0", method: "notifications/x" })}\n`;
    await ends(runCommand(["mcp"], { home, input: sent }), 0, sent, "");
  });
});

const FIXTURE = join(import.meta.dirname, "../programs", "mcp-server.ts");

async function gatewayHome(t: TestContext): Promise<string> {
  const home = await temporaryFolder(t);
  const config = [
    "[backends.fixture]",
    `command = ${JSON.stringify(process.execPath)}`,
    `args = [${JSON.stringify(FIXTURE)}]`,
    `env = { WAITING_FILE = ${JSON.stringify(join(home, "waiting"))} }`,
    "",
  ];
  await writeFile(join(home, "config.toml"), config.join("\n"));
  return home;
}

describe("the commands about the gateway, without a daemon", { concurrency: 2 }, () => {
  test("tools list and call run the backends once, backends list runs none, and nothing is left behind", async (t) => {
    const home = await gatewayHome(t);
    const tools = await ends(runCommand(["tools", "list", "--json"], { home }), 0, null, "");
    assert.deepEqual(
      JSON.parse(tools.stdout).tools.map(({ name, backend }: { name: string; backend: string }) => [
        name,
        backend,
      ]),
      [
        ["echo", "fixture"],
        ["fail", "fixture"],
        ["wait", "fixture"],
      ],
    );
    const listed = await runCommand(["backends", "list"], { home });
    assert.match(listed.stdout, /^○ fixture {2}Pending/);
    assert.match(
      listed.stderr,
      /the daemon is not running, so no MCP server is either; mountaineer up starts it/,
    );
    await ends(runCommand(["call", "echo", '{"a":1}'], { home }), 0, '{"a":1}\n', "");
    await ends(runCommand(["call", "fail"], { home }), 1, "", "mountaineer: no such\n  luck\n");
    await ends(runCommand(["call", "ecko"], { home }), 2, null, /did you mean "?echo"?\?/);
    assert.deepEqual(await readdir(home), ["config.toml"]);
  });

  test("a backend that is this very gateway does not start it again and again", async (t) => {
    const home = await gatewayHome(t);
    const [node, ...own] = COMMAND;
    const itself = [
      "[backends.itself]",
      `command = ${JSON.stringify(node)}`,
      `args = ${JSON.stringify([...own, "mcp"])}`,
      `env = { MOUNTAINEER_HOME = ${JSON.stringify(home)} }`,
      "",
    ];
    await appendFile(join(home, "config.toml"), itself.join("\n"));
    const { code, stdout, stderr } = await runCommand(["tools", "list"], { home });
    assert.equal(code, 0);
    assert.match(stdout, /echo +fixture/);
    assert.match(stderr, /itself: Failed[\s\S]*would start itself again and again/);
  });

  test("Ctrl-C ends a call, and the backend with it", async (t) => {
    const home = await gatewayHome(t);
    await assertStoppable(startCommand(["call", "wait"], { home }), join(home, "waiting"));
  });

  test("Ctrl-C ends the wait for a backend that never answers, without a list of missing tools", async (t) => {
    for (const command of [
      ["tools", "list"],
      ["call", "x"],
    ]) {
      const home = await temporaryFolder(t);
      const started = join(home, "started");
      const silent = `echo $$ > ${started}; exec sleep 600`;
      const config = `[backends.silent]\ncommand = "sh"\nargs = ${JSON.stringify(["-c", silent])}\n`;
      await writeFile(join(home, "config.toml"), config);
      await assertStoppable(startCommand(command, { home }), started);
    }
  });

  test("mcp serves its client from its own gateway", async (t) => {
    const home = await gatewayHome(t);
    const messages = [
      {
        id: 1,
        method: "initialize",
        params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "t", version: "1" } },
      },
      { method: "notifications/initialized" },
      { id: 2, method: "ping" },
    ];
    const input = messages.map((message) => `${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`).join("");
    const { stdout } = await ends(runCommand(["mcp"], { home, input }), 0);
    const answers = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    assert.equal(answers.find(({ id }) => id === 1)?.result.protocolVersion, "2025-11-25");
    assert.deepEqual(answers.find(({ id }) => id === 2)?.result, {});
  });

  test("commands that need the daemon say so with exit code 8", async (t) => {
    const home = await gatewayHome(t);
    for (const args of [
      ["restart", "fixture"],
      ["logs", "fixture"],
    ]) {
      const { code, stderr } = await runCommand(["backends", ...args], { home });
      assert.equal(code, 8);
      assert.match(stderr, /no daemon runs[\s\S]*hint: mountaineer up/);
    }
  });

  test("with no backend configured they say so", async (t) => {
    const home = await temporaryFolder(t);
    for (const args of [["tools", "list"], ["call", "x"], ["backends", "list"], ["mcp"]]) {
      const { code, stderr } = await runCommand(args, { home, input: "" });
      assert.equal(code, args[1] === "list" ? 0 : 1, stderr);
      assert.match(stderr, /no (gateway|server) is configured/);
    }
  });
});

describe("tools that differ from their approved version", { concurrency: 2 }, () => {
  const changes = {
    changes: [
      sampleToolChange(),
      sampleToolChange({ backend: "web", published_as: null, withheld: true, digest: CHANGES_MEANWHILE }),
      sampleToolChange({
        tool: "stat",
        published_as: null,
        kind: "new",
        withheld: true,
        members: [{ member: "name", before: null, after: "stat" }],
      }),
    ],
    unseen: [
      { backend: "web", kind: "prompt", entry: "p", faults: ["description: 1 unseen character (U+200B)"] },
    ],
    lost: null,
  };
  const rig = (t: TestContext) =>
    startGatewayRig(t, scriptedGateway(undefined, undefined, undefined, changes));

  test("E3 tools diff shows old next to new, with invisible characters spelled out; --json is the daemon's report", async (t) => {
    const { home } = await rig(t);
    const human = await runCommand(["tools", "diff"], { home });
    assert.deepEqual([human.code, human.stderr], [0, ""]);
    assert.match(human.stdout, /^read_file of files {2}changed, published\n/u);
    assert.match(human.stdout, /\n-Reads a file\.\n\+Reads a\\u\{202e\} file\.\n/u);
    assert.match(human.stdout, /\nstat of files {2}new, withheld until it is approved\n/u);
    assert.match(human.stdout, /prompt p of web {2}has invisible text\n {4}description: 1 unseen/u);
    const one = await runCommand(["tools", "diff", "stat"], { home });
    assert.doesNotMatch(one.stdout, /read_file/u);
    const json = await runCommand(["tools", "diff", "--json"], { home });
    assert.deepEqual(JSON.parse(json.stdout), changes);
  });

  test("E3 tools approve approves the tools that it shows, and skips those that have since changed", async (t) => {
    const { home, gateway } = await rig(t);
    const one = await runCommand(["tools", "approve", "stat"], { home });
    assert.equal(one.code, 0);
    assert.match(one.stdout, /^stat of files/u);
    assert.equal(one.stderr, "mountaineer: 1 tool approved\n");
    assert.deepEqual(gateway.calls.at(-1)?.request, {
      items: [{ backend: "files", tool: "stat", digest: "digest" }],
      discard_previous: false,
    });
    const all = await runCommand(["tools", "approve", "--all", "--json"], { home });
    assert.equal(all.code, 1);
    assertEach(JSON.parse(all.stdout).skipped, ({ backend }: { backend: string }) => backend, ["web"]);
    assert.match(all.stderr, /read_file of server web has changed since it was shown/u);
    const own = await runCommand(["tools", "approve", "--backend", "files"], { home });
    assert.match(own.stderr, /2 tools approved/u);
  });

  test("E3 tools approve asks for the backend where the tool's name is ambiguous", async (t) => {
    const { home, gateway } = await rig(t);
    for (const [args, says] of [
      [[], /nothing was named/u],
      [["a", "--all"], /named in two ways/u],
      [["nothing"], /nothing called nothing waits/u],
      [["read_file"], /say which: files:read_file, web:read_file/u],
    ] as const) {
      await ends(runCommand(["tools", "approve", ...args], { home }), 2, null, says);
    }
    assert.ok(gateway.calls.every(({ name }) => name !== "approveTools"));
    assert.equal((await runCommand(["tools", "approve", "files:read_file"], { home })).code, 0);
  });

  test("E3 with nothing to show, tools diff says so", async (t) => {
    const { home } = await startGatewayRig(t);
    await ends(runCommand(["tools", "diff"], { home }), 0, "", "mountaineer: all is as it was approved\n");
  });
});
