// The shape of the catalog in the management API: all that clients are offered now, and what is kept from them.
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
} from "../runtime/shape.ts";

/** What every entry has. Texts are as clients get them: without characters that nobody sees. */
const entry = {
  /** The backend that serves it. */
  backend: text,
  title: optional(text),
  description: optional(text),
  /** True: it is too large to be shown whole, and has its names and the beginning of its description alone. */
  cut: optional(flag),
};

/** In the order in which calls would go there now. */
export const toolPlacesShape = list(
  object({
    /** null: this machine. */
    machine: nullable(text),
    /** How the worst of the shares that it requires is mounted there; null: it requires none. */
    standing: nullable(choice("tb", "fallback", "none")),
    /** It would take a call at once. */
    ready: flag,
  }),
);
export type ToolPlaces = TypeOf<typeof toolPlacesShape>;

export const catalogToolShape = object({
  /** What clients call it. */
  name: text,
  /** What its server calls it. */
  original_name: text,
  ...entry,
  /** JSON Schema of its arguments; empty where `cut`. */
  input_schema: jsonObject,
  /** JSON Schema of its structured result; absent: the server says nothing of it. */
  output_schema: optional(jsonObject),
  /** MCP's hints: `readOnlyHint`, `destructiveHint`, `idempotentHint`, `openWorldHint`, `title`. */
  annotations: optional(jsonObject),
  /** Where it is served; absent: where `backend` is. */
  places: optional(toolPlacesShape),
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
  /** RFC 6570, `file:///{path}`. */
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
  kind: choice("tool", "resource", "template", "prompt", "skill", "instructions"),
  /** The server's own name of it, or its URI. */
  name: text,
  /**
   * `filter`: the backend's filters keep it back; `approval`: it is not as it was approved; `collision`: another
   * backend offers the name; `share`: the share that its backend requires is away; `off`: a person has switched the tool off,
   * and `name` is what it would be called.
   */
  reason: choice("filter", "approval", "collision", "share", "off"),
  /** The reason in a sentence. */
  why: text,
});

export const catalogReportShape = object({
  /** In the order in which clients get them. */
  tools: list(catalogToolShape),
  resources: list(catalogResourceShape),
  resource_templates: list(catalogTemplateShape),
  prompts: list(catalogPromptShape),
  withheld: list(withheldShape),
  /** How many entries of each list are not in this answer, because it would be too large; null: it is complete. */
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
