// A small fast server of 2026-07-28 over stdio, without an SDK: one tool, `echo`.
type Json = Record<string, unknown>;

const SERVER_INFO = {
  "io.modelcontextprotocol/serverInfo": { name: "light-modern-server", version: "1.0.0" },
};

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function answer(method: unknown, params: Json): Json {
  switch (method) {
    case "server/discover":
      return listed({ supportedVersions: ["2026-07-28"], capabilities: { tools: {} } });
    case "tools/list":
      return listed({
        tools: [{ name: "echo", description: "The tool echo.", inputSchema: { type: "object" } }],
      });
    case "tools/call": {
      const given = isObject(params["arguments"]) ? params["arguments"] : {};
      const content = [{ type: "text", text: String(given["text"] ?? "") }];
      return { result: { resultType: "complete", content, _meta: SERVER_INFO } };
    }
    default:
      return { error: { code: -32601, message: `Method not found: ${String(method)}` } };
  }
}

function listed(result: Json): Json {
  return {
    result: { resultType: "complete", ...result, ttlMs: 0, cacheScope: "private", _meta: SERVER_INFO },
  };
}

let rest = "";
process.stdin.setEncoding("utf8");
process.stdin.on("data", (chunk: string) => {
  const lines = (rest + chunk).split("\n");
  rest = lines.pop() ?? "";
  for (const line of lines) {
    const message: unknown = line === "" ? null : JSON.parse(line);
    if (!isObject(message) || message["id"] === undefined) continue;
    const params = isObject(message["params"]) ? message["params"] : {};
    const reply = { jsonrpc: "2.0", id: message["id"], ...answer(message["method"], params) };
    process.stdout.write(`${JSON.stringify(reply)}\n`);
  }
});
process.stdin.on("end", () => process.exit(0));
