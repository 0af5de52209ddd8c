// A small MCP server with one tool, named by TOOL, which says which process answered, where it works, and its tool and
// route; it can take its time. Arguments, where given: its route's name, a ledger into which it writes each call's id, a
// file that keeps it from starting, and `--http PORT HOST`.
import { appendFileSync, existsSync } from "node:fs";
import { pause, serve, toolOf } from "../../../mcp/fixtures/scripted-server.ts";

const [route, ledger, down] = process.argv.slice(2);
if (down !== undefined && existsSync(down)) process.exit(3);
const { TOOL: tool = "who" } = process.env;
/** As the kernel knows it: it may be gone later. */
const cwd = process.cwd();

process.stderr.write("hello from the pool's server\n");
serve({
  name: "pool-server",
  hasNoSessions: true,
  answers: {
    "tools/list": () => ({ tools: [toolOf(tool)] }),
    async "tools/call"({ given, cancelled }) {
      if (ledger !== undefined) appendFileSync(ledger, `${given["id"]} ${route}\n`);
      await pause(Number(given["ms"] ?? 0), cancelled);
      return { content: [], structuredContent: { pid: process.pid, tool, cwd, route } };
    },
  },
});
