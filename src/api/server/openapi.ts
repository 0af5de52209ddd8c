// The OpenAPI 3.1 document of the management API over HTTP, made from the table of operations.
import { ERROR_CODES } from "../../runtime/errors.ts";
import { type JsonSchema, text } from "../../runtime/shape.ts";
import { EVENT_STREAM_PATH, MANAGE_PREFIX, streamEventShape } from "../contract/contract.ts";
import { ERROR_STATUSES } from "../operations/http-errors.ts";
import { OPERATION_NAMES, type OperationName } from "../operations/operations.ts";
import { OPERATIONS } from "../operations/table.ts";

/** Statuses of requests that are refused before an operation runs, because of their headers, body or token. */
const REFUSALS = [400, 401, 403, 404, 408, 413, 415];
const MEANINGS: Readonly<Record<number, string>> = {
  200: "Done",
  304: "As If-None-Match has it",
  400: "The request is not understood",
  401: "No token, no session, or a wrong one",
  403: "The caller may not do this, or a page of another origin sent the request",
  404: "There is nothing of that name, or it is not served here",
  408: "The body came too slowly",
  409: "The current state differs from the expected one",
  413: "The body is too large",
  415: "The body is not JSON",
  422: "The configuration would have errors",
  500: "It was tried and failed: the code says why",
  502: "The tool failed",
  503: "Not now; nothing was begun",
  504: "No answer came in time",
};
const NUMBER_PARAMETER = {
  ...{ name: "n", in: "path", required: true },
  schema: { type: "integer", minimum: 0, maximum: 999_999_999 },
};
const ETAG_HEADER = { ETag: { description: "For If-None-Match", schema: { type: "string" } } };
const PROBLEM = { $ref: "#/components/schemas/Error" };

let drawn: JsonSchema | null = null;

export function openApiDocument(): JsonSchema {
  drawn ??= draw();
  return drawn;
}

function draw(): JsonSchema {
  const paths: Record<string, JsonSchema> = {};
  for (const name of OPERATION_NAMES) {
    const { method, path, right } = OPERATIONS[name];
    // These operations are not served over HTTP.
    if (right === "socket") continue;
    const at = `${MANAGE_PREFIX}/${path}${path.endsWith("/") ? "{n}" : ""}`;
    paths[at] = { ...paths[at], [method.toLowerCase()]: operationOf(name) };
  }
  paths[EVENT_STREAM_PATH.replace("/stream", "")] = { get: eventsOperation() };
  return {
    openapi: "3.1.0",
    info: {
      title: "Mountaineer management API",
      version: "1",
      description: "The operations of a running Mountaineer daemon. Times are ISO 8601 UTC.",
    },
    servers: [{ url: "/" }],
    security: [{ token: [] }],
    paths,
    components: {
      securitySchemes: {
        token: { type: "http", scheme: "bearer", description: "mountaineer server-token makes one." },
      },
      schemas: { Error: errorSchema() },
    },
  };
}

function operationOf(name: OperationName): JsonSchema {
  const { method, path, summary, right, input, output } = OPERATIONS[name];
  const isText = output === text;
  const isGet = method === "GET";
  const content = isText
    ? { "text/plain": { schema: { type: "string" } } }
    : { "application/json": { schema: output.schema() } };
  const body =
    isGet || input === null
      ? {}
      : { requestBody: { content: { "application/json": { schema: input.schema() } } } };
  return {
    operationId: name,
    summary,
    ...(right === "with_commands"
      ? { description: "Needs `[server.management].allow_commands`.", "x-mountaineer-reach": right }
      : {}),
    ...(path.endsWith("/") ? { parameters: [NUMBER_PARAMETER] } : {}),
    ...body,
    responses: {
      200: { description: meaningOf(200), ...(isGet ? { headers: ETAG_HEADER } : {}), content },
      ...(isGet ? { 304: { description: meaningOf(304) } } : {}),
      ...problems(),
    },
  };
}

function eventsOperation(): JsonSchema {
  return {
    operationId: "events",
    summary: "Events from now on, as server-sent events",
    description:
      "Last-Event-ID continues after the last received event. A `gap` means that events were lost: read everything again.",
    parameters: [
      {
        name: "flow",
        in: "query",
        required: false,
        allowEmptyValue: true,
        description: "With any value, or none: also traffic counters, as events of the kind `flow`",
        schema: { type: "string" },
      },
      {
        name: "Last-Event-ID",
        in: "header",
        required: false,
        schema: { type: "string", pattern: "^[0-9]{1,15}$" },
      },
    ],
    responses: {
      200: {
        description: "Each event's `data` is one of these",
        content: { "text/event-stream": { schema: streamEventShape.schema() } },
      },
      ...problems(),
    },
  };
}

function problems(): JsonSchema {
  const statuses = [...new Set([...REFUSALS, ...ERROR_STATUSES])].sort((one, other) => one - other);
  return Object.fromEntries(
    statuses.map((status) => [
      status,
      { description: meaningOf(status), content: { "application/json": { schema: PROBLEM } } },
    ]),
  );
}

function errorSchema(): JsonSchema {
  const code = { enum: Object.keys(ERROR_CODES) };
  const hint = { anyOf: [{ type: "string" }, { type: "null" }] };
  const error = {
    type: "object",
    properties: { code, message: { type: "string" }, hint },
    required: ["code", "message", "hint"],
  };
  return { type: "object", properties: { error }, required: ["error"] };
}

function meaningOf(status: number): string {
  return MEANINGS[status] ?? "An error";
}
