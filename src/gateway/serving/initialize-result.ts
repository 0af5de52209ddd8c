// The gateway's own result of `initialize`. Backends come and go within a session, so it declares what any of them may
// offer.
import type { BackendInitializeResult } from "../backends/policy/backend-pool-contract.ts";
import { isJsonObject, type JsonObject } from "../json-rpc.ts";

export function gatewayInitializeResult(
  version: string,
  servers: readonly BackendInitializeResult[],
): JsonObject {
  const instructions = joinInstructions(servers);
  const tasks = servers.find(({ capabilities }) => capabilities["tasks"] !== undefined);
  return {
    capabilities: {
      tools: { listChanged: true },
      resources: { subscribe: true, listChanged: true },
      prompts: { listChanged: true },
      logging: {},
      completions: {},
      ...(tasks === undefined ? {} : { tasks: tasks.capabilities["tasks"] }),
    },
    serverInfo: { name: "mountaineer", title: "Mountaineer", version },
    ...(instructions === null ? {} : { instructions }),
  };
}

/** Those whose servers can list their tasks. */
export function tasksListedBy(servers: readonly BackendInitializeResult[]): readonly string[] {
  return servers.flatMap(({ backend, capabilities: { tasks } }) =>
    isJsonObject(tasks) && tasks["list"] !== undefined ? [backend] : [],
  );
}

/** One server's words as they are; of several, each under the name of its backend. */
function joinInstructions(servers: readonly BackendInitializeResult[]): string | null {
  const told = servers.flatMap(({ backend, instructions }) =>
    instructions === null || instructions === "" ? [] : [{ backend, instructions }],
  );
  const [first] = told;
  if (first === undefined) return null;
  if (told.length === 1) return first.instructions;
  return told.map(({ backend, instructions }) => `${backend}:\n${instructions}`).join("\n\n");
}
