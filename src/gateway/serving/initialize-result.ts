// The gateway's own result of `initialize`. Backends come and go within a session, so it declares what any of them may
// offer.

import { withoutUnseen } from "../../runtime/text/unseen-characters.ts";
import type { BackendInitializeResult } from "../backends/policy/backend-pool-contract.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { isJsonObject, type JsonObject } from "../json-rpc.ts";
import { LATEST_VERSION, MODERN_VERSION, type SpokenVersion } from "../protocol.ts";
import { publishedInstructions } from "./published-instructions.ts";

export function gatewayInfo(version: string): JsonObject {
  return { name: "mountaineer", title: "Mountaineer", version };
}

export interface Published {
  readonly catalog: Catalog;
  /** How many backends are configured and enabled, whether they answer or not. */
  readonly configured: number;
}

export function gatewayInitializeResult(
  version: string,
  servers: readonly BackendInitializeResult[],
  { catalog, configured }: Published,
  spoken: SpokenVersion = LATEST_VERSION,
): JsonObject {
  const instructions = joinInstructions(servers, catalog);
  const extensions = extensionsOf(servers, configured === 1);
  const hasTasks = spoken !== MODERN_VERSION;
  const tasks = hasTasks
    ? servers.find(({ capabilities }) => capabilities["tasks"] !== undefined)
    : undefined;
  return {
    capabilities: {
      tools: { listChanged: true },
      resources: { subscribe: true, listChanged: true },
      prompts: { listChanged: true },
      logging: {},
      completions: {},
      ...(tasks === undefined ? {} : { tasks: tasks.capabilities["tasks"] }),
      ...(extensions === null ? {} : { extensions }),
    },
    serverInfo: gatewayInfo(version),
    ...(instructions === null ? {} : { instructions }),
  };
}

/** Extensions that are only members of lists and results, which pass as they are. */
const SHARED_EXTENSIONS: ReadonlySet<string> = new Set(["io.modelcontextprotocol/ui"]);

/** Its methods have the names of the tasks of 2025-11-25, which are not the same. */
const TASKS_EXTENSION = "io.modelcontextprotocol/tasks";

/** A sole server's methods pass, and so its extensions; of several, those that need none. */
function extensionsOf(servers: readonly BackendInitializeResult[], isSole: boolean): JsonObject | null {
  const declared = servers.flatMap(({ capabilities: { extensions } }) =>
    isJsonObject(extensions) ? Object.entries(extensions) : [],
  );
  const passes = (name: string): boolean =>
    SHARED_EXTENSIONS.has(name) || (isSole && name !== TASKS_EXTENSION);
  const passed = declared.filter(([name]) => passes(name));
  return passed.length === 0 ? null : Object.fromEntries(passed);
}

/** Those whose servers can list their tasks. */
export function tasksListedBy(servers: readonly BackendInitializeResult[]): readonly string[] {
  return servers.flatMap(({ backend, capabilities: { tasks } }) =>
    isJsonObject(tasks) && tasks["list"] !== undefined ? [backend] : [],
  );
}

/** One server's words, with its tools' published names; of several, each under the name of its backend. */
function joinInstructions(servers: readonly BackendInitializeResult[], catalog: Catalog): string | null {
  const told = servers.flatMap(({ backend, instructions }) => {
    const seen = withoutUnseen(instructions ?? "");
    return seen === "" ? [] : [{ backend, instructions: publishedInstructions(seen, backend, catalog) }];
  });
  const [first] = told;
  if (first === undefined) return null;
  if (told.length === 1) return first.instructions;
  return told.map(({ backend, instructions }) => `${backend}:\n${instructions}`).join("\n\n");
}
