// A tiny MCP server over stdio, for tests of the command line: a tool that answers, one that fails, one that waits.
import { writeFileSync } from "node:fs";
import { json, serve, text } from "../../mcp/fixtures/scripted-server.ts";

process.stderr.write("fixture started\n");
serve({
  name: "fixture",
  tools: {
    echo: ({ given }) => ({ ...json(given), structuredContent: { given }, isError: false }),
    fail: ({ given }) => ({ ...text("no such\nluck"), structuredContent: { given }, isError: true }),
    wait() {
      writeFileSync(process.env["WAITING_FILE"] ?? "", String(process.pid));
      return undefined;
    },
  },
  onNotification(method) {
    if (method === "notifications/cancelled") process.stderr.write("fixture heard: cancelled\n");
  },
});
