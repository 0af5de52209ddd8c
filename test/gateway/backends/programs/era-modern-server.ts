// A server of 2026-07-28 by the official SDK. Usage: era-modern-server.ts [modern|both|older] [--http PORT]. With
// SPEAKS_FILE it speaks what that file says at its start.
import { readFileSync } from "node:fs";
import {
  type CallToolResult,
  type InputRequests,
  type InputRequiredResult,
  Server,
  type ServerContext,
} from "@modelcontextprotocol/server";
import { serve } from "../../../mcp/fixtures/scripted-server.ts";
import { type Changes, serveSdk } from "../../../mcp/fixtures/serve-modern.ts";

const { SPEAKS_FILE } = process.env;
const speaks = SPEAKS_FILE === undefined ? process.argv[2] : readFileSync(SPEAKS_FILE, "utf8").trim();

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

async function call(
  name: string,
  args: unknown,
  ctx: ServerContext,
  changes: Changes,
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
      changes.tools();
      return text("changed");
    case "touch":
      changes.resource(RESOURCE.uri);
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

function create(changes: Changes): Server {
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
  server.setRequestHandler("tools/call", ({ params }, ctx) =>
    call(params.name, params.arguments, ctx, changes),
  );
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

if (speaks === "older")
  serve({
    name: "era",
    answers: { "tools/list": () => ({ tools: [{ name: "crash", inputSchema: ANYTHING }] }) },
    tools: { crash: () => process.exit(7) },
  });
else serveSdk(create, speaks === "both");
