// A server of 2026-07-28 by the official SDK. Usage: era-modern-server.ts stdio|http modern|both; over HTTP it prints
// its address. With SPEAKS_FILE it speaks what that file says at its start: modern, both or older.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import {
  type CallToolResult,
  createMcpHandler,
  type InputRequests,
  type InputRequiredResult,
  Server,
  type ServerContext,
} from "@modelcontextprotocol/server";
import { serveStdio } from "@modelcontextprotocol/server/stdio";
import { createLineSplitter } from "../../../../src/runtime/text/line-splitter.ts";

const [transport, given = "modern"] = process.argv.slice(2);
const speaksFile = process.env["SPEAKS_FILE"];
const speaks = speaksFile === undefined ? given : readFileSync(speaksFile, "utf8").trim();

const RESOURCE = { uri: "test://one", name: "one" };
const ANYTHING = { type: "object" as const };
const NAMES = [
  "echo",
  "ask",
  "ask_three",
  "ask_rounds",
  "ask_page",
  "ask_as_before",
  "version",
  "work",
  "wait",
  "change",
  "touch",
  "crash",
];
const TOOLS = [
  ...NAMES.map((name) => ({ name, inputSchema: ANYTHING })),
  {
    name: "région",
    inputSchema: {
      type: "object" as const,
      properties: { place: { type: "string", "x-mcp-header": "Region" } },
    },
  },
  {
    name: "bad_header",
    inputSchema: { type: "object" as const, properties: { a: { type: "object", "x-mcp-header": "A" } } },
  },
  { name: "numbers", inputSchema: ANYTHING, outputSchema: { type: "array", items: { type: "integer" } } },
];

const form = (message: string) => ({
  method: "elicitation/create",
  params: {
    mode: "form",
    message,
    requestedSchema: { type: "object", properties: { name: { type: "string" } } },
  },
});
const SAMPLING = {
  method: "sampling/createMessage",
  params: { messages: [{ role: "user", content: { type: "text", text: "Say." } }], maxTokens: 10 },
};
const PAGE = {
  method: "elicitation/create",
  params: { mode: "url", message: "Agree.", url: "https://example.com" },
};

const text = (said: unknown): CallToolResult => ({
  content: [{ type: "text", text: JSON.stringify(said) }],
});
const inputs = (inputRequests: unknown, requestState?: string): InputRequiredResult => ({
  resultType: "input_required",
  inputRequests: inputRequests as InputRequests,
  ...(requestState !== undefined && { requestState }),
});

let added = false;
let onChanged: (what: "tools" | "resource") => void = () => {};

async function call(
  name: string,
  args: unknown,
  ctx: ServerContext,
): Promise<CallToolResult | InputRequiredResult> {
  const { inputResponses } = ctx.mcpReq;
  const state = ctx.mcpReq.requestState<string>();
  switch (name) {
    case "ask":
      return inputResponses === undefined
        ? inputs({ who: form("Who?") }, "s1")
        : text({ state, inputResponses });
    case "ask_three":
      return inputResponses === undefined
        ? inputs({ who: form("Who?"), say: SAMPLING, where: { method: "roots/list" } })
        : text(inputResponses);
    case "ask_rounds": {
      const done = state === undefined ? 0 : Number(state);
      return done < 3
        ? inputs({ [`q${done}`]: form(`${done}?`) }, String(done + 1))
        : text({ done, inputResponses });
    }
    case "ask_page":
      return inputResponses === undefined ? inputs({ page: PAGE }) : text(inputResponses);
    case "ask_as_before": {
      const { action, content } = await ctx.mcpReq.elicitInput({
        ...form("Who?").params,
        mode: "form",
      } as never);
      return text({ action, content });
    }
    case "version":
      return text(ctx.mcpReq.envelope === undefined ? "2025-11-25" : "2026-07-28");
    case "work": {
      const progressToken = ctx.mcpReq._meta?.progressToken;
      if (progressToken !== undefined)
        await ctx.mcpReq.notify({ method: "notifications/progress", params: { progressToken, progress: 1 } });
      await ctx.mcpReq.log("info", "working");
      await ctx.mcpReq.log("debug", "details");
      return text("worked");
    }
    case "wait":
      await new Promise((resolve) => ctx.mcpReq.signal.addEventListener("abort", resolve));
      process.stderr.write("the call was cancelled\n");
      return text("cancelled");
    case "change":
      added = true;
      onChanged("tools");
      return text("changed");
    case "touch":
      onChanged("resource");
      return text("touched");
    case "numbers":
      return {
        content: [{ type: "text", text: "[1,2]" }],
        structuredContent: [1, 2],
      } as unknown as CallToolResult;
    case "crash":
      return process.exit(7);
    default:
      return text(args ?? null);
  }
}

function create(): Server {
  const server = new Server(
    { name: "era", version: "2" },
    {
      capabilities: {
        tools: { listChanged: true },
        prompts: {},
        resources: { subscribe: true, listChanged: true },
        logging: {},
      },
      instructions: "Use it well.",
    },
  );
  const rest = (): typeof TOOLS => [
    ...TOOLS.slice(3),
    ...(added ? [{ name: "added", inputSchema: ANYTHING }] : []),
  ];
  server.setRequestHandler("tools/list", ({ params }) =>
    params?.cursor === undefined
      ? { tools: TOOLS.slice(0, 3), nextCursor: "rest", ttlMs: 0, cacheScope: "private" }
      : { tools: rest(), ttlMs: 0, cacheScope: "private" },
  );
  server.setRequestHandler("tools/call", ({ params }, ctx) => call(params.name, params.arguments, ctx));
  server.setRequestHandler("prompts/list", () => ({ prompts: [{ name: "greet" }] }));
  server.setRequestHandler("prompts/get", () => ({
    messages: [{ role: "user" as const, content: { type: "text" as const, text: "Hello." } }],
  }));
  server.setRequestHandler("resources/list", () => ({ resources: [RESOURCE] }));
  server.setRequestHandler("resources/templates/list", () => ({ resourceTemplates: [] }));
  server.setRequestHandler("resources/read", ({ params }) => ({
    contents: [{ uri: params.uri, text: "one" }],
    ttlMs: 60_000,
    cacheScope: "public",
  }));
  return server;
}

const isStrict = speaks !== "both";

function overStdio(): void {
  let newest: Server | null = null;
  onChanged = (what) => {
    if (what === "tools") void newest?.sendToolListChanged();
    else void newest?.sendResourceUpdated({ uri: RESOURCE.uri });
  };
  const opened = (): Server => {
    newest = create();
    return newest;
  };
  serveStdio(opened, { legacy: isStrict ? "reject" : "serve" });
}

function overHttp(): void {
  const handler = createMcpHandler(() => create(), { legacy: isStrict ? "reject" : "stateless" });
  onChanged = (what) => {
    if (what === "tools") handler.notify.toolsChanged();
    else handler.notify.resourceUpdated(RESOURCE.uri);
  };
  const server = createServer(async (incoming, outgoing) => {
    const gone = new AbortController();
    outgoing.once("close", () => gone.abort());
    const { method = "GET", url = "/", headers } = incoming;
    const request = new Request(new URL(url, "http://localhost"), {
      method,
      headers: headers as Record<string, string>,
      signal: gone.signal,
      ...(method === "POST" && { body: Readable.toWeb(incoming) as ReadableStream, duplex: "half" }),
    });
    try {
      const answer = await handler.fetch(request);
      outgoing.writeHead(answer.status, Object.fromEntries(answer.headers));
      outgoing.flushHeaders();
      if (answer.body === null) outgoing.end();
      else await pipeline(Readable.fromWeb(answer.body as never), outgoing);
    } catch {
      outgoing.destroy();
    }
  });
  server.listen(0, "127.0.0.1", () => {
    const address = server.address();
    process.stdout.write(`http://127.0.0.1:${typeof address === "object" ? address?.port : ""}/mcp\n`);
  });
}

/** In 2025-11-25, with one tool that crashes. */
function asOlder(): void {
  const serverInfo = { name: "era", version: "1" };
  const answers: Record<string, () => object> = {
    initialize: () => ({
      result: { protocolVersion: "2025-11-25", capabilities: { tools: {} }, serverInfo },
    }),
    ping: () => ({ result: {} }),
    "tools/list": () => ({ result: { tools: [{ name: "crash", inputSchema: ANYTHING }] } }),
    "tools/call": () => process.exit(7),
  };
  const splitter = createLineSplitter(1e9);
  process.stdin.on("data", (chunk: Buffer) => {
    for (const line of splitter.take(chunk)) {
      const { id, method } = JSON.parse(line);
      if (id === undefined) continue;
      const reply = answers[method]?.() ?? { error: { code: -32601, message: "Method not found" } };
      process.stdout.write(`${JSON.stringify({ jsonrpc: "2.0", id, ...reply })}\n`);
    }
  });
}

if (speaks === "older") asOlder();
else if (transport === "http") overHttp();
else overStdio();
