// A small MCP server on stdio: one tool named by TOOL, which says which process answered, where it works,
// and its tool; it can take its time.
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";

interface Message {
  readonly id?: number | string;
  readonly method: string;
  readonly params?: { readonly arguments?: { readonly ms?: number } };
}

/** As the kernel knows it: it may be gone later. */
const startedIn = process.cwd();

const write = (message: object): void => void process.stdout.write(`${JSON.stringify(message)}\n`);

async function answer({ method, params }: Message): Promise<object> {
  switch (method) {
    case "initialize":
      return {
        protocolVersion: "2025-11-25",
        capabilities: { tools: {} },
        serverInfo: { name: "pool-server", version: "1" },
      };
    case "tools/list":
      return { tools: [{ name: process.env["TOOL"] ?? "who", inputSchema: { type: "object" } }] };
    case "tools/call":
      await pause(params?.arguments?.ms ?? 0);
      return {
        content: [],
        structuredContent: { pid: process.pid, tool: process.env["TOOL"], cwd: startedIn },
      };
    default:
      return {};
  }
}

process.stderr.write("hello from the pool's server\n");
createInterface({ input: process.stdin }).on("line", (line) => {
  const message: Message = JSON.parse(line);
  const { id } = message;
  if (id === undefined) return;
  void answer(message).then((result) => write({ jsonrpc: "2.0", id, result }));
});
