// Owns the reading of request bodies about places, by hand as request-body.ts does; a test holds it to the schemas of
// contract-schemas.ts.
import type { FoldersRequest } from "./contract.ts";
import { type Field, readFields } from "./request-fields.ts";

const name: Field<string> = {
  holds: (value): value is string => typeof value === "string",
  expected: "a text",
};

/** Reads `{ share, subpath? }`. Throws `protocol`, naming the field that is wrong. */
export function readFoldersRequest(body: string): FoldersRequest {
  return readFields<FoldersRequest>(body, { share: name, subpath: name }, ["share"]);
}
