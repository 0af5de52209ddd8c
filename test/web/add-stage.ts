// What is around the page while somebody adds things in it: a registry of servers, and the end of what was mounted.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { TestHome } from "../support/daemon.ts";
import { killAll, serversOf } from "../support/processes.ts";
import type { Scope } from "../support/temporary-folder.ts";

/** A name that a server chose. */
export const HOSTILE = '<img src=x onerror="document.title=1">';

/** Resolves with the address of a registry that has one server. */
export async function startRegistry(t: Scope): Promise<string> {
  const server = {
    ...{ name: "io.github.example/weather", version: "1.4.2", description: HOSTILE },
    remotes: [
      {
        ...{ type: "streamable-http", url: "https://127.0.0.1:9/mcp" },
        headers: [
          {
            ...{ name: "Authorization", value: "Bearer {key}" },
            variables: { key: { isRequired: true, isSecret: true } },
          },
        ],
      },
    ],
  };
  const registry = createServer(({ url = "" }, response) => {
    const isList = url.startsWith("/v0.1/servers?search=weather&");
    // It serves MCP, too.
    if (url === "/mcp") response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(isList ? { servers: [{ server }] } : { server }));
  });
  registry.listen(0, "127.0.0.1");
  await once(registry, "listening");
  t.after(() => {
    registry.closeAllConnections();
    registry.close();
  });
  const address = registry.address();
  assert.ok(address !== null && typeof address === "object");
  return `http://127.0.0.1:${address.port}`;
}

/** Before the home's folder goes. */
export function mountsEnd({ home, cli }: TestHome): AsyncDisposable {
  return {
    async [Symbol.asyncDispose]() {
      await cli(["unmount", "--force"]);
      killAll(await serversOf(home));
    },
  };
}
