// An MCP server over stdio for calls across machines. It writes down each call before it does anything, so that a test sees
// how often one was made.
import { appendFileSync } from "node:fs";
import {
  type Answer,
  type Asked,
  json,
  objectOf,
  pause,
  serve,
  text,
} from "../../../mcp/fixtures/scripted-server.ts";

const [, , written = "/dev/null"] = process.argv;
const write = (line: string): void => appendFileSync(written, `${line}\n`);
const markOf = ({ given }: Asked): string => String(given["mark"] ?? "");
const echo: Answer = (asked) => text(markOf(asked));

const tools: Record<string, Answer> = {
  echo,
  async slow(asked) {
    const { given, params, cancelled } = asked;
    const { progressToken } = objectOf(params["_meta"]);
    for (let progress = 1; given["steps"] === undefined || progress <= Number(given["steps"]); progress++) {
      await pause(20, cancelled);
      if (cancelled.aborted) return undefined;
      if (progressToken !== undefined)
        asked.tell("notifications/progress", { progressToken, progress, total: 5 });
    }
    return text(markOf(asked));
  },
  async ask(asked) {
    const requestedSchema = { type: "object", properties: { word: { type: "string" } } };
    const message = `which ${markOf(asked)}?`;
    return json(await asked.ask("elicitation/create", { message, requestedSchema }));
  },
  large: ({ given }) => text("ü".repeat(Number(given["length"]))),
  grow(asked) {
    tools[`grown-${markOf(asked)}`] = echo;
    server.tell("notifications/tools/list_changed");
    return echo(asked);
  },
  die: () => process.exit(1),
};

const server = serve({
  name: "tools",
  capabilities: { tools: { listChanged: true } },
  tools,
  answers: {
    "tools/call"(asked) {
      write(`${asked.name} ${markOf(asked)}`);
      return tools[asked.name]?.(asked);
    },
  },
  onNotification(method) {
    if (method === "notifications/cancelled") write("cancelled");
  },
});
