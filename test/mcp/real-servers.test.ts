// Servers that others wrote, behind the real program, asked with the official SDK's client.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, realpath, writeFile } from "node:fs/promises";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { pathToFileURL } from "node:url";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  LoggingMessageNotificationSchema,
  ToolListChangedNotificationSchema,
} from "@modelcontextprotocol/sdk/types.js";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { type GatewayRig, nodeBackend, type Section, startGatewayRig } from "./gateway-rig.ts";

const MODULES = path.resolve(import.meta.dirname, "../../node_modules/@modelcontextprotocol");
const EVERYTHING = path.join(MODULES, "server-everything/dist/index.js");
const FILESYSTEM = path.join(MODULES, "server-filesystem/dist/index.js");
const MOUNTAINEER = path.resolve(import.meta.dirname, "../../bin/mountaineer");

interface SdkClient {
  readonly client: Client;
  readonly asked: string[];
  readonly logged: unknown[];
  readonly changes: number[];
}

interface SdkClientOptions {
  /** Else HTTP. */
  readonly over?: Transport;
  /** Its only root. */
  readonly root?: string;
  /** Its person takes so long to answer. */
  readonly person?: () => Promise<void>;
}

/** A client with every capability. */
async function sdkClient(
  rig: GatewayRig,
  { over, root = "/", person }: SdkClientOptions = {},
): Promise<SdkClient> {
  const client = new Client(
    { name: "sdk-client", version: "1.0.0" },
    { capabilities: { sampling: {}, elicitation: {}, roots: { listChanged: true } } },
  );
  const self: SdkClient = { client, asked: [], logged: [], changes: [] };
  client.setRequestHandler(CreateMessageRequestSchema, ({ method }) => {
    self.asked.push(method);
    return { model: "none", role: "assistant" as const, content: { type: "text" as const, text: "sampled" } };
  });
  client.setRequestHandler(ElicitRequestSchema, async ({ method }) => {
    self.asked.push(method);
    await person?.();
    return { action: "accept" as const, content: { name: "Ann", check: true } };
  });
  client.setRequestHandler(ListRootsRequestSchema, ({ method }) => {
    self.asked.push(method);
    return { roots: [{ uri: pathToFileURL(root).href, name: "root" }] };
  });
  client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => {
    self.logged.push(params);
  });
  client.setNotificationHandler(ToolListChangedNotificationSchema, () => {
    self.changes.push(performance.now());
  });
  // The class' callbacks are spelled `T | undefined`, the interface's optional.
  const transport = over ?? (new StreamableHTTPClientTransport(new URL(rig.url)) as Transport);
  await client.connect(transport);
  rig.beforeStop(() => client.close());
  return self;
}

function firstText(result: Awaited<ReturnType<Client["callTool"]>>): string {
  const { content } = result;
  const first: unknown = Array.isArray(content) ? content[0] : undefined;
  return typeof first === "object" && first !== null ? String(Reflect.get(first, "text")) : "";
}

/** Runs server-everything over streamable HTTP, for as long as the test. */
async function everythingOverHttp(t: TestContext): Promise<string> {
  const port = await freePort();
  const child = spawn(process.execPath, [EVERYTHING, "streamableHttp"], {
    env: { ...process.env, PORT: String(port) },
    stdio: "ignore",
  });
  const ended = once(child, "exit");
  t.after(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  const url = `http://127.0.0.1:${port}/mcp`;
  await eventually(async () => (await fetch(url)).status > 0);
  return url;
}

const BEHIND: Readonly<Record<string, (t: TestContext) => Promise<Section>>> = {
  stdio: async () => nodeBackend(EVERYTHING, ["stdio"]),
  "streamable HTTP": async (t) => ({ type: "streamable-http", url: await everythingOverHttp(t) }),
};

for (const [transport, section] of Object.entries(BEHIND)) {
  test(`server-everything behind ${transport}: all of it works for the SDK's client`, async (t) => {
    const rig = await startGatewayRig(t, { backends: { everything: await section(t) } });
    await rig.untilReady("everything");
    const { client, asked } = await sdkClient(rig);

    const { tools } = await client.listTools();
    assert.ok(tools.length >= 12);
    const call = async (name: string, given: Record<string, unknown> = {}): Promise<string> =>
      firstText(await client.callTool({ name, arguments: given }));
    assert.match(await call("echo", { message: "hello" }), /hello/u);
    assert.match(await call("get-sum", { a: 2, b: 3 }), /5/u);
    const structured = await client.callTool({
      name: "get-structured-content",
      arguments: { location: "New York" },
    });
    assert.ok(structured["structuredContent"]);

    const { prompts } = await client.listPrompts();
    assert.ok(prompts.some(({ name }) => name === "args-prompt"));
    const prompt = await client.getPrompt({ name: "args-prompt", arguments: { city: "Oslo" } });
    assert.match(JSON.stringify(prompt.messages), /Oslo/u);
    const { completion } = await client.complete({
      ref: { type: "ref/prompt", name: "completable-prompt" },
      argument: { name: "department", value: "Eng" },
    });
    assert.deepEqual(completion.values, ["Engineering"]);

    const { resources } = await client.listResources();
    const uri = resources[0]?.uri ?? "";
    assert.ok((await client.readResource({ uri })).contents.length > 0);
    const { resourceTemplates } = await client.listResourceTemplates();
    assert.ok(resourceTemplates.length > 0);

    const progress: number[] = [];
    await client.callTool(
      { name: "trigger-long-running-operation", arguments: { duration: 0.3, steps: 3 } },
      undefined,
      { onprogress: (each) => progress.push(each.progress) },
    );
    assert.deepEqual(progress, [1, 2, 3]);

    await client.setLoggingLevel("debug");
    assert.match(await call("trigger-sampling-request", { prompt: "say", maxTokens: 10 }), /sampled/u);
    await call("trigger-elicitation-request");
    assert.ok(asked.includes("sampling/createMessage"));
    assert.ok(asked.includes("elicitation/create"));
    await assert.rejects(client.callTool({ name: "no-such-tool", arguments: {} }), /no-such-tool/u);
  });
}

test("server-filesystem, found by a client of `mountaineer mcp`, and renamed while it is connected", async (t) => {
  const folder = await temporaryFolder(t);
  await mkdir(path.join(folder, "notes"));
  await writeFile(path.join(folder, "notes/a.txt"), "written here\n");
  const files = nodeBackend(FILESYSTEM, [folder]);
  const rig = await startGatewayRig(t, { backends: { files } });
  await rig.untilReady("files");
  const overHttp = await sdkClient(rig);
  const overStdio = await sdkClient(rig, {
    over: new StdioClientTransport({
      command: MOUNTAINEER,
      args: ["mcp"],
      env: { ...environment(), MOUNTAINEER_HOME: rig.home.home, HOME: rig.folder },
    }),
  });
  for (const { client } of [overHttp, overStdio]) {
    const read = await client.callTool({
      name: "read_text_file",
      arguments: { path: path.join(folder, "notes/a.txt") },
    });
    assert.equal(firstText(read), "written here\n");
    const outside = await client.callTool({ name: "read_text_file", arguments: { path: "/etc/passwd" } });
    assert.equal(outside["isError"], true);
  }
  await rig.edit({ backends: { files: { ...files, tool_overrides: { read_text_file: { name: "read" } } } } });
  for (const { client, changes } of [overHttp, overStdio]) {
    await eventually(() => changes.length === 1);
    const names = (await client.listTools()).tools.map(({ name }) => name);
    assert.ok(names.includes("read") && !names.includes("read_text_file"));
    const read = await client.callTool({
      name: "read",
      arguments: { path: path.join(folder, "notes/a.txt") },
    });
    assert.equal(firstText(read), "written here\n");
  }
});

test("B7 server-filesystem without arguments knows each client's own folder at its first call; sharing one is reported", async (t) => {
  const rig = await startGatewayRig(t, {
    backends: { files: nodeBackend(FILESYSTEM, [], { instances: "per-client" }) },
  });
  await rig.untilReady("files");
  for (const name of ["ann", "ben", "carl"]) {
    const folder = await realpath(await temporaryFolder(t));
    await writeFile(path.join(folder, "note.txt"), `of ${name}`);
    const { client } = await sdkClient(rig, { root: folder });
    const read = await client.callTool({
      name: "read_text_file",
      arguments: { path: path.join(folder, "note.txt") },
    });
    assert.equal(firstText(read), `of ${name}`);
  }
  assert.deepEqual((await rig.backend("files")).conditions, []);

  // One process that asks each client is told of, and serves.
  await rig.edit({ backends: { files: nodeBackend(FILESYSTEM) } });
  const { phase, conditions } = await rig.untilBackend("files", (seen) => seen.conditions.length > 0);
  assert.deepEqual(
    [phase, conditions.map(({ code, severity }) => [code, severity])],
    ["Ready", [["roots_shared", "info"]]],
  );
  assert.match(String(conditions[0]?.hint), /instances = "per-client" for server files/);
});

test("B7 a question that is open while the port is edited gets its answer, and its call the result", async (t) => {
  const everything = nodeBackend(EVERYTHING, ["stdio"]);
  const rig = await startGatewayRig(t, { backends: { everything } });
  await rig.untilReady("everything");
  const answer = Promise.withResolvers<void>();
  const { client, asked } = await sdkClient(rig, { person: () => answer.promise });
  const result = client.callTool({ name: "trigger-elicitation-request", arguments: {} });
  await eventually(() => asked.length > 0);
  await rig.edit({ backends: { everything }, server: { port: await freePort() } });
  answer.resolve();
  assert.match(JSON.stringify((await result).content), /Ann/);
});

function environment(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}
