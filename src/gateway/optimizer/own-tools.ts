// The gateway's own two tools: `find_tool` finds tools that are not listed, `call_tool` calls them. Before any
// middleware sees a call of `call_tool`, the call of the named tool replaces it.

import { errorText } from "../../runtime/errors.ts";
import type { RuntimeTools } from "../../runtime/log/runtime-tools.ts";
import { memoized } from "../../runtime/memo.ts";
import { TEXT_BOUNDS } from "../../runtime/text/bounds.ts";
import { settlesWithin } from "../../runtime/time/clock.ts";
import { isAppOnly } from "../catalog/app-pages.ts";
import { withoutTexts } from "../catalog/without-texts.ts";
import { isError, isJsonObject, type JsonObject, type Reply } from "../json-rpc.ts";
import { CALL_TOOL, FIND_TOOL, type GatewayRequest } from "../middleware/middleware.ts";
import { unknownTarget } from "../middleware/request-target.ts";
import { sanitise } from "../middleware/sanitise.ts";
import type { ToolIndex } from "./tool-index.ts";

/** Begins the instructions of clients that find tools. */
export const FINDS_TOOLS = `Most tools of this server are not listed: ${FIND_TOOL} finds them by what they do`;

/** A query waits for the index at most this long. */
const INDEX_WAIT_MS = 5_000;
const LIMIT = { usual: 5, most: 20 };
const NEAR = 3;

const FIND_SHAPE = `${FIND_TOOL} takes {"query": "what the tool is to do", "limit": ${LIMIT.usual}}`;
const CALL_SHAPE = `${CALL_TOOL} takes {"name": "a tool's name", "arguments": {…}}`;

const DEFINITIONS: readonly JsonObject[] = [
  {
    name: FIND_TOOL,
    title: "Find a tool",
    description:
      "Most tools of this server are not listed. Finds them by what they do, best first: name, description and input schema of each. Run one with call_tool.",
    inputSchema: {
      type: "object",
      properties: {
        query: {
          type: "string",
          description:
            'What the tool is to do, in a few words, as "create an issue in GitHub"; or a tool\'s name',
        },
        limit: { type: "integer", minimum: 1, maximum: LIMIT.most, default: LIMIT.usual },
      },
      required: ["query"],
      additionalProperties: false,
    },
    annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  },
  {
    name: CALL_TOOL,
    title: "Call a tool",
    description: "Runs a tool that find_tool found, and answers what that tool answers.",
    inputSchema: {
      type: "object",
      properties: {
        name: { type: "string", description: "The tool's name, as find_tool gave it" },
        arguments: { type: "object", description: "As the tool's input schema says" },
      },
      required: ["name"],
      additionalProperties: false,
    },
  },
];

export type OwnTools = ReturnType<typeof createOwnTools>;

export function createOwnTools({ index, clock, logger }: RuntimeTools & { readonly index: ToolIndex }) {
  const search = (request: GatewayRequest, text: string, most: number): readonly JsonObject[] => {
    const tools = findable(request);
    const exact = tools.get(text.trim());
    const names = index.search(text, most, (name) => tools.has(name));
    const found = names.map((name) => tools.get(name)).filter((tool) => tool !== undefined);
    return exact === undefined ? found : [exact, ...found.filter((tool) => tool !== exact)].slice(0, most);
  };
  const find = async (request: GatewayRequest, declare?: Declare): Promise<Reply> => {
    const input = queryOf(request.params?.["arguments"]);
    if (typeof input === "string") return failed(`${input}. ${FIND_SHAPE}.`);
    const { ready } = index;
    if (ready !== null) await settlesWithin(clock, INDEX_WAIT_MS, ready);
    if (index.ready !== null && index.size === 0) {
      return failed(
        `The tools are still being indexed. Ask again in a few seconds; a tool whose name you know can be called now, with ${CALL_TOOL}.`,
      );
    }
    try {
      const found = search(request, input.query, input.limit);
      return text(foundText(found, input.query, findable(request).size, declare));
    } catch (error) {
      logger.error("tools could not be searched", { error: errorText(error) });
      return failed(
        `The search failed. Ask in other words; a tool whose name you know can be called with ${CALL_TOOL}.`,
      );
    }
  };
  const noSuchTool = (request: GatewayRequest, name: string): Reply => {
    const tools = findable(request);
    const near =
      name.length > TEXT_BOUNDS.query.most ? [] : index.search(name, NEAR, (one) => tools.has(one));
    const hint = near.length === 0 ? "" : ` Similar names: ${near.join(", ")}.`;
    return failed(`There is no tool ${sanitise(name)}.${hint} ${FIND_TOOL} finds tools by what they do.`);
  };
  return {
    introduction: `${FINDS_TOOLS}, ${CALL_TOOL} runs them.`,
    definitions: DEFINITIONS,
    /** Whether a name belongs to one of the gateway's own tools. A server's tool of that name is not published. */
    isOwn,
    /** Returns the request for the tool that a request of `call_tool` calls; returns any other request unchanged. */
    unwrapCallTool(request: GatewayRequest): GatewayRequest {
      const { method, params } = request;
      const unwrapped = request.through === undefined ? unwrappedParams(method, params) : params;
      const tool = unwrapped === params ? undefined : callable(request).get(String(unwrapped?.["name"]));
      return unwrapped === params || (tool !== undefined && isAppOnly(tool))
        ? request
        : { ...request, params: unwrapped, through: CALL_TOOL };
    },
    unwrappedParams,
    /** Null: neither `find_tool` nor an invalid call of `call_tool`. Never rejects. */
    answered(request: GatewayRequest, declare?: Declare): Promise<Reply> | null {
      const { name, arguments: given } = request.params ?? {};
      // A list that was read since may have the tool, for pages only.
      if (request.through === CALL_TOOL && typeof name === "string" && !findable(request).has(name))
        return callable(request).has(name) ? Promise.resolve(noSuchTool(request, name)) : null;
      if (request.method !== "tools/call" || request.through !== undefined) return null;
      if (name === FIND_TOOL) return find(request, declare);
      if (name !== CALL_TOOL) return null;
      const call = callOf(given);
      return Promise.resolve(
        typeof call === "string" ? failed(`${call}. ${CALL_SHAPE}.`) : noSuchTool(request, call.name),
      );
    },
    /** If the called tool does not exist, says so and names similar tools. */
    explained(request: GatewayRequest, reply: Reply): Reply {
      const name = request.params?.["name"];
      if (request.through === undefined || typeof name !== "string" || !isError(reply)) return reply;
      const unknown = unknownTarget({ kind: "tool", name });
      if (!isError(unknown) || reply.error.message !== unknown.error.message) return reply;
      if (isOwn(name)) return failed(`Call ${name} directly. ${CALL_SHAPE}.`);
      const tools = findable(request);
      // The client may use the tool, so a policy refused these arguments.
      if (tools.has(name))
        return failed(
          `A policy does not allow this call of ${sanitise(name)}: other arguments may be allowed.`,
        );
      return noSuchTool(request, name);
    },
  };
}

function isOwn(name: string): boolean {
  return name === FIND_TOOL || name === CALL_TOOL;
}

/**
 * For `call_tool`: returns the params of the call inside the given params. Returns the given params unchanged for any
 * other request, and for an invalid call.
 */
function unwrappedParams(method: string, params: JsonObject | undefined): JsonObject | undefined {
  if (method !== "tools/call" || params?.["name"] !== CALL_TOOL) return params;
  const inner = callOf(params["arguments"]);
  if (typeof inner === "string") return params;
  const { arguments: _, ...others } = params;
  return { ...others, ...inner };
}

/** All that the client may call, listed or not. */
function callable({ served, handle: { client } }: GatewayRequest): ReadonlyMap<string, JsonObject> {
  return served.viewFor(client.principal).callable(client.protocolVersion);
}

/** All that a model may call: without tools that only an app's page may call. */
function findable(request: GatewayRequest): ReadonlyMap<string, JsonObject> {
  return ofModel(callable(request));
}

const ofModel = memoized(
  (tools: ReadonlyMap<string, JsonObject>): ReadonlyMap<string, JsonObject> =>
    new Map([...tools].filter(([, tool]) => !isAppOnly(tool))),
);

/** If the arguments are wrong, returns a text that says what is wrong. */
function queryOf(given: unknown): { readonly query: string; readonly limit: number } | string {
  const { query, limit = LIMIT.usual, ...stray } = isJsonObject(given) ? given : {};
  if (typeof query !== "string" || query.trim() === "") return "`query` is missing, or is not a text";
  const [other] = Object.keys(stray);
  if (other !== undefined) return `\`${sanitise(other)}\` is not known`;
  if (query.length > TEXT_BOUNDS.query.most) {
    return `\`query\` has ${query.length} characters, of ${TEXT_BOUNDS.query.most} at most: say it in a few words`;
  }
  if (typeof limit !== "number" || !Number.isInteger(limit) || limit < 1 || limit > LIMIT.most) {
    return `\`limit\` must be a whole number from 1 to ${LIMIT.most}`;
  }
  return { query, limit };
}

/** Returns the given arguments as `params` of tools/call, or a text that says what is wrong with them. */
function callOf(given: unknown): { readonly name: string; readonly arguments?: JsonObject } | string {
  const { name, arguments: inner, ...stray } = isJsonObject(given) ? given : {};
  if (typeof name !== "string" || name === "") return "`name` is missing, or is not a text";
  const [other] = Object.keys(stray);
  if (other !== undefined) {
    return `\`${sanitise(other)}\` does not belong next to \`name\`: the tool's parameters go into \`arguments\``;
  }
  if (inner === undefined) return { name };
  return isJsonObject(inner) ? { name, arguments: inner } : "`arguments` must be an object";
}

function text(answer: string): Reply {
  return { result: { content: [{ type: "text", text: answer }] } };
}

function failed(why: string): Reply {
  return { result: { content: [{ type: "text", text: why }], isError: true } };
}

// The answer of `find_tool`: the best tools first, each with as much detail as fits.

/** In bytes. That is at most 4,000 tokens, since a token has at least three bytes in any script. */
const MOST_BYTES = 12_000;
const SHORT_DESCRIPTION = 200;
const LONG_DESCRIPTION = 1_500;
const LONGEST_NAME = 256;
/** In characters. A larger schema would be too long even without its descriptions. */
const LARGEST_SCHEMA = 64 * 1024;

/** Writes a tool's schemas as a declaration, which then replaces them. */
type Declare = (tool: JsonObject) => string;

interface Shown {
  readonly name: string;
  readonly description?: string;
  readonly inputSchema?: unknown;
  readonly declaration?: string;
  readonly note?: string;
}

export function foundText(
  tools: readonly JsonObject[],
  query: string,
  all: number,
  declare?: Declare,
): string {
  if (tools.length === 0) {
    return `No tool fits ${JSON.stringify(query)}. Say in other words what it is to do, or name the product it belongs to; ${all} tools can be found here.`;
  }
  const shown = tools.map((tool) => short(tool));
  let left = MOST_BYTES - sizeOf(shown);
  // The remaining bytes go to fuller descriptions of the tools, the best tools first.
  for (const [index, tool] of tools.entries()) {
    const before = shown[index];
    if (before === undefined) continue;
    const fuller = fullerForms(tool, declare).find((form) => sizeOf(form) - sizeOf(before) <= left);
    if (fuller === undefined) continue;
    left -= sizeOf(fuller) - sizeOf(before);
    shown[index] = fuller;
  }
  return JSON.stringify({ tools: shown });
}

/** The longest form comes first. */
function fullerForms(tool: JsonObject, declare?: Declare): readonly Shown[] {
  const { inputSchema } = tool;
  const brief = described(tool, SHORT_DESCRIPTION);
  const named = { ...brief, note: `takes ${argumentNames(inputSchema)}` };
  if (isJsonObject(inputSchema) && lengthOf(inputSchema) > LARGEST_SCHEMA) return [named];
  if (declare !== undefined) {
    const declaration = declare(tool);
    return [{ ...described(tool, LONG_DESCRIPTION), declaration }, { ...brief, declaration }, named];
  }
  const note = "the schema's texts are left out: ask for only this name to see more";
  return [
    { ...described(tool, LONG_DESCRIPTION), inputSchema },
    { ...brief, inputSchema },
    { ...brief, inputSchema: withoutTexts(inputSchema), note },
    named,
  ];
}

function short(tool: JsonObject): Shown {
  return { ...described(tool, SHORT_DESCRIPTION), note: "no room for its schema: ask for only this name" };
}

function described({ name, description }: JsonObject, most: number): Shown {
  const named = { name: typeof name === "string" ? name.slice(0, LONGEST_NAME) : "" };
  if (typeof description !== "string" || description === "") return named;
  return {
    ...named,
    description: description.length > most ? `${description.slice(0, most)}…` : description,
  };
}

function argumentNames(schema: unknown): string {
  const properties = isJsonObject(schema) ? schema["properties"] : undefined;
  const names = isJsonObject(properties) ? Object.keys(properties) : [];
  return names.length === 0 ? "no arguments" : names.slice(0, 40).join(", ");
}

const lengthOf = memoized((schema: JsonObject) => JSON.stringify(schema).length);

function sizeOf(value: object): number {
  return Buffer.byteLength(JSON.stringify(value));
}
