// The gateway's own tool `run_script`, beside all other tools or beside `find_tool`.
import { randomBytes } from "node:crypto";
import { isJsonObject, type JsonObject, type Reply } from "../json-rpc.ts";
import {
  CALL_TOOL,
  FIND_TOOL,
  type GatewayRequest,
  RUN_SCRIPT,
  type RunningScript,
} from "../middleware/middleware.ts";
import { sanitise } from "../middleware/sanitise.ts";
import { FINDS_TOOLS, type OwnTools } from "../optimizer/own-tools.ts";
import { declarationOf } from "./declarations.ts";
import { BOUNDS } from "./thread/thread-messages.ts";

const SHAPE = `${RUN_SCRIPT} takes {"script": "the script's text"}`;

/** The same for every principal: what a script may call is found elsewhere. */
export const SCRIPT_TOOL: JsonObject = {
  name: RUN_SCRIPT,
  title: "Run a script",
  description:
    "Runs a script in TypeScript or JavaScript that calls tools of this server, and gives what it returns: for many " +
    "calls, or when only a part of their results matters. The script is the body of an async function. " +
    '`await tools["name"](args)` calls a tool by the name that this server gives it: the value is its structured ' +
    "result, else its text, else a list of its parts; images are handles that can be returned. A tool's failure is " +
    "an exception. `Promise.all` runs calls side by side. `console.log` writes to a log that comes with the result. " +
    "`return` gives the result, which must have a form in JSON. There are no modules, files, network or timers.",
  inputSchema: {
    type: "object",
    properties: {
      script: { type: "string", description: 'For example: return (await tools["list"]()).length' },
    },
    required: ["script"],
    additionalProperties: false,
  },
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: true },
};

/** Runs the script of a request of `run_script`. Never rejects. */
export type RunScript = (request: GatewayRequest, script: RunningScript, source: string) => Promise<Reply>;

/** Whether a client asks for a script, and not a script for another one. */
export function requestsScript({
  method,
  params,
  through,
}: Pick<GatewayRequest, "method" | "params" | "through">) {
  return method === "tools/call" && through === undefined && params?.["name"] === RUN_SCRIPT;
}

/** The gateway's own tools with `run_script` among them. `own`: those of clients that find tools; null: they list them. */
export function withScripts(own: OwnTools | null, run: RunScript): OwnTools {
  const found = own?.definitions.filter(({ name }) => name !== CALL_TOOL) ?? [];
  const runs = `${RUN_SCRIPT} runs a script that calls many tools, so that their results need not be read one by one.`;
  return {
    introduction: own === null ? runs : `${FINDS_TOOLS}, and scripts call them. ${runs}`,
    definitions: [...found, SCRIPT_TOOL],
    isOwn: (name) => name === RUN_SCRIPT || own?.isOwn(name) === true,
    unwrapCallTool(request) {
      if (requestsScript(request)) return { ...request, script: newScript() };
      return own?.unwrapCallTool(request) ?? request;
    },
    unwrappedParams: (method, params) => own?.unwrappedParams(method, params) ?? params,
    answered(request) {
      if (request.params?.["name"] === FIND_TOOL) return own?.answered(request, declarationOf) ?? null;
      if (!requestsScript(request)) return own?.answered(request) ?? null;
      const source = sourceOf(request.params?.["arguments"]);
      return "text" in source
        ? run(request, request.script ?? newScript(), source.text)
        : Promise.resolve(failedTool(`${source.fault}. ${SHAPE}.`));
    },
    explained: (request, reply) =>
      request.through === "run_script" ? reply : (own?.explained(request, reply) ?? reply),
  };
}

function newScript(): RunningScript {
  return {
    id: randomBytes(9).toString("base64url"),
    allowed: new Map(),
    calls: new Set(),
    consentPending: Promise.resolve(),
  };
}

function sourceOf(given: unknown): { readonly text: string } | { readonly fault: string } {
  const { script, ...stray } = isJsonObject(given) ? given : {};
  if (typeof script !== "string" || script.trim() === "")
    return { fault: "`script` is missing, or is not a text" };
  const [other] = Object.keys(stray);
  if (other !== undefined) return { fault: `\`${sanitise(other)}\` is not known` };
  const most = BOUNDS.sourceCharacters;
  return script.length <= most
    ? { text: script }
    : { fault: `\`script\` has ${script.length} characters, of ${most} at most` };
}

export function failedTool(text: string): { readonly result: JsonObject } {
  return { result: { content: [{ type: "text", text }], isError: true } };
}
