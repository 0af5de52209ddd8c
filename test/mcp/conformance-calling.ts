// The gateway as the client that the official conformance suite tests: the given server is the only backend of a real
// daemon, and a client of the official SDK does through it whatever the scenario asks for.
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { type AskedScenario, type ConformanceClient, startConformanceClient } from "./conformance-player.ts";
import { openGatewayRig } from "./gateway-rig.ts";

/** What the client in front of the gateway speaks. */
type FrontEra = "legacy" | "modern";

interface NamedCall {
  readonly name: string;
  readonly arguments?: Record<string, unknown>;
}

/** For one scenario at a time. */
export function startCallingClient(front: FrontEra): Promise<ConformanceClient> {
  return startConformanceClient(async (asked) => {
    await using rig = await openGatewayRig({ backends: { server: { url: asked.url } } });
    // Degraded: some of its tools are withheld.
    await rig.untilBackend("server", ({ phase }) => phase === "Ready" || phase === "Degraded");
    const client = new Client(
      { name: "conformance", version: "1.0.0" },
      {
        capabilities: { elicitation: { form: { applyDefaults: true } }, sampling: {}, roots: {} },
        versionNegotiation: { mode: front === "modern" ? { pin: "2026-07-28" } : "legacy" },
      },
    );
    client.setRequestHandler("elicitation/create", ({ params }) => ({
      action: "accept",
      content: JSON.stringify(params).includes('"confirmed"') ? { confirmed: true } : {},
    }));
    client.setRequestHandler("roots/list", () => ({ roots: [] }));
    await client.connect(new StreamableHTTPClientTransport(new URL(rig.url)));
    try {
      await play(client, asked);
    } finally {
      await client.close();
    }
    return null;
  });
}

async function play(client: Client, { name, context }: AskedScenario): Promise<void> {
  const { tools } = await client.listTools();
  if (name === "json-schema-2020-12-preservation") {
    const schema = tools.find((tool) => tool.name === "json_schema_2020_12_tool")?.inputSchema;
    await client.callTool({ name: "json_schema_echo", arguments: { schema } });
    return;
  }
  if (name === "json-schema-ref-no-deref" || name === "request-metadata") return;
  const told = context["toolCalls"];
  const calls: readonly NamedCall[] = Array.isArray(told)
    ? told
    : tools.map((tool) => ({ name: tool.name, arguments: name === "tools_call" ? { a: 2, b: 3 } : {} }));
  for (const call of calls) await client.callTool({ name: call.name, arguments: call.arguments ?? {} });
  if (name !== "http-standard-headers") return;
  const { resources } = await client.listResources();
  for (const { uri } of resources) await client.readResource({ uri });
  const { prompts } = await client.listPrompts();
  for (const prompt of prompts) await client.getPrompt({ name: prompt.name });
}
