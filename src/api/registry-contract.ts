// What a registry says of MCP servers, and what a backend made of one would run. Nothing is written.
import { flag, list, nullable, object, record, strictObject, type TypeOf, text } from "../runtime/shape.ts";

const entry = {
  /** In the registry, such as `io.github.user/server`. */
  name: text,
  version: text,
  description: text,
  deprecated: flag,
};

export const registryListShape = object({ servers: list(object(entry)) });

export const registryServerRequest = strictObject({
  server: text,
  /** The backend's name here. */
  name: text,
  /** By the names of inputs. A secret's value has no place here: "" says that there will be one. */
  values: record(text),
});

export const registryServerShape = object({
  ...entry,
  inputs: list(
    object({
      name: text,
      description: nullable(text),
      required: flag,
      secret: flag,
      fallback: nullable(text),
      choices: list(text),
    }),
  ),
  /** null: `why` says what is in its way. */
  plan: nullable(
    object({
      /** The program with its arguments; null: it is at `url`. */
      command: nullable(list(text)),
      url: nullable(text),
      /** Variables of the program, or headers, as the configuration has them. */
      texts: record(text),
      /** The names that its secrets are to be kept under, by the inputs that were given. */
      secrets: record(text),
      notes: list(text),
    }),
  ),
  why: nullable(text),
});
export type RegistryServerReport = TypeOf<typeof registryServerShape>;
