// The shape of the catalog in the management API: everything that clients can use now, and what is withheld.
import {
  choice,
  flag,
  jsonObject,
  list,
  nullable,
  number,
  object,
  optional,
  type TypeOf,
  text,
} from "../../runtime/shape.ts";

/**
 * The members that all kinds of entries have. Texts are as clients get them, without invisible characters.
 */
const entry = {
  backend: text,
  title: optional(text),
  description: optional(text),
  /** True: the entry was too large, and has only its names and the beginning of its description. */
  cut: optional(flag),
};

export const catalogToolShape = object({
  /** The name that clients use for the tool. */
  name: text,
  /** The server's own name of the tool. */
  original_name: text,
  ...entry,
  /** JSON Schema of the tool's arguments; empty if `cut` is set. */
  input_schema: jsonObject,
  /** JSON Schema of its structured result; absent if the server has none. */
  output_schema: optional(jsonObject),
  /** MCP's hints: `readOnlyHint`, `destructiveHint`, `idempotentHint`, `openWorldHint`, `title`. */
  annotations: optional(jsonObject),
  /** The arguments that the configuration sets in each call, which are not in `input_schema`; absent: none. */
  set_arguments: optional(jsonObject),
});
export type CatalogTool = TypeOf<typeof catalogToolShape>;

export const catalogResourceShape = object({
  uri: text,
  name: text,
  ...entry,
  mime_type: optional(text),
  /** Bytes. */
  size: optional(number),
});
export type CatalogResource = TypeOf<typeof catalogResourceShape>;

export const catalogTemplateShape = object({
  /** A URI template (RFC 6570), such as `file:///{path}`. */
  uri_template: text,
  name: text,
  ...entry,
  mime_type: optional(text),
});
export type CatalogTemplate = TypeOf<typeof catalogTemplateShape>;

export const catalogPromptShape = object({
  name: text,
  original_name: text,
  ...entry,
  arguments: list(object({ name: text, description: optional(text), required: flag })),
});
export type CatalogPrompt = TypeOf<typeof catalogPromptShape>;

const withheldShape = object({
  backend: text,
  kind: choice("tool", "resource", "template", "prompt", "instructions"),
  /** The name or URI that clients would use; for entries that the filters leave out, the server's own. */
  name: text,
  /**
   * `filter`: the backend's filters leave it out; `approval`: it has changed since its approval; `collision`: another backend
   * has the name; `share`: a share that its backend requires is not mounted; `server`: its server is not ready; `off`: a
   * person switched the tool off; `arguments`: the configuration sets arguments that the tool cannot have.
   */
  reason: choice("filter", "approval", "collision", "share", "server", "off", "arguments"),
  /** The reason in a sentence. */
  why: text,
});

export const catalogReportShape = object({
  /** In the order of the clients' lists. */
  tools: list(catalogToolShape),
  resources: list(catalogResourceShape),
  resource_templates: list(catalogTemplateShape),
  prompts: list(catalogPromptShape),
  withheld: list(withheldShape),
  /** How many entries of each list are left out because the answer is too large; null: none. */
  left_out: nullable(
    object({
      tools: number,
      resources: number,
      resource_templates: number,
      prompts: number,
      withheld: number,
    }),
  ),
});
export type CatalogReport = TypeOf<typeof catalogReportShape>;
