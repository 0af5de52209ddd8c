// Reads request bodies about the gateway and about places, by hand as request-body.ts does; a test holds it to the schemas
// of contract-schemas.ts.
import type { BackendLogsRequest, BackendsRequest, CallRequest, FoldersRequest } from "../contract.ts";
import { type Field, readFields, text } from "./request-fields.ts";

const backends: Field<string[] | null> = {
  holds: (value): value is string[] | null =>
    value === null || (Array.isArray(value) && value.every((item) => typeof item === "string")),
  expected: "a list of names, or null for all",
};
const name: Field<string> = {
  holds: (value): value is string => typeof value === "string",
  expected: "a text",
};
const toolArguments: Field<Record<string, unknown>> = {
  holds: (value): value is Record<string, unknown> =>
    typeof value === "object" && value !== null && !Array.isArray(value),
  expected: "a JSON object",
};

/** Reads `{ tool, arguments? }`. Throws `protocol`, as all of these do, naming the field that is wrong. */
export function readCallRequest(body: string): CallRequest {
  return readFields<CallRequest>(body, { tool: text, arguments: toolArguments }, ["tool"]);
}

/** Reads `{ backends? }`; an empty body is `{}`. */
export function readBackendsRequest(body: string): BackendsRequest {
  return readFields<BackendsRequest>(body, { backends }, []);
}

export function readBackendLogsRequest(body: string): BackendLogsRequest {
  return readFields<BackendLogsRequest>(body, { backend: text }, ["backend"]);
}

/** Reads `{ share, subpath? }`. */
export function readFoldersRequest(body: string): FoldersRequest {
  return readFields<FoldersRequest>(body, { share: name, subpath: name }, ["share"]);
}
