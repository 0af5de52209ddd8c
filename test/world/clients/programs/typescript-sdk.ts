// The official TypeScript SDK, asked as lines.py is: `typescript-sdk.ts 1|2 TRANSPORT URL`, or
// `typescript-sdk.ts 1|2 stdio COMMAND ARGUMENT…`.
import { createInterface } from "node:readline";

const [generation, transport, target = "", ...args] = process.argv.slice(2);

interface Connected {
  list(): Promise<readonly { readonly name: string }[]>;
  call(name: string, given: Record<string, unknown>): Promise<object>;
}

const CALL = { timeout: 20_000 };
const info = { name: "world", version: "1.0.0" };
const env = Object.fromEntries(
  Object.entries(process.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
);

async function first(): Promise<Connected> {
  const { Client } = await import("@modelcontextprotocol/sdk/client/index.js");
  const { SSEClientTransport } = await import("@modelcontextprotocol/sdk/client/sse.js");
  const { StdioClientTransport } = await import("@modelcontextprotocol/sdk/client/stdio.js");
  const { StreamableHTTPClientTransport } = await import(
    "@modelcontextprotocol/sdk/client/streamableHttp.js"
  );
  const client = new Client(info);
  if (transport === "stdio") await client.connect(new StdioClientTransport({ command: target, args, env }));
  else if (transport === "SSE") await client.connect(new SSEClientTransport(new URL(target)));
  // The class' callbacks are spelled `T | undefined`, the interface's optional.
  else await client.connect(new StreamableHTTPClientTransport(new URL(target)) as never);
  return {
    list: async () => (await client.listTools()).tools,
    call: (name, given) => client.callTool({ name, arguments: given }, undefined, CALL),
  };
}

async function second(): Promise<Connected> {
  const { Client, SSEClientTransport, StreamableHTTPClientTransport } = await import(
    "@modelcontextprotocol/client"
  );
  const { StdioClientTransport } = await import("@modelcontextprotocol/client/stdio");
  const client = new Client(info, { versionNegotiation: { mode: "auto" } });
  if (transport === "stdio") await client.connect(new StdioClientTransport({ command: target, args, env }));
  else if (transport === "SSE") await client.connect(new SSEClientTransport(new URL(target)));
  else await client.connect(new StreamableHTTPClientTransport(new URL(target)));
  return {
    list: async () => (await client.listTools(undefined, { cacheMode: "refresh" })).tools,
    call: (name, given) => client.callTool({ name, arguments: given }, CALL),
  };
}

function textOf(result: object): string {
  const { content, isError } = result as { content?: { text?: string }[]; isError?: boolean };
  const text = (content ?? []).map((block) => block.text ?? "").join("");
  return isError === true ? `error: ${text}` : text;
}

const connected = await (generation === "1" ? first() : second());
for await (const line of createInterface({ input: process.stdin })) {
  const { list, call, given } = JSON.parse(line);
  const answer = await (async () => {
    if (list === true) return { tools: (await connected.list()).map(({ name }) => name) };
    return { text: textOf(await connected.call(call, given)) };
  })().catch((error: unknown) => ({ text: `failed: ${error}` }));
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0);
