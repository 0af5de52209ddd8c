// Shapes of answers about MCP servers in the registry, and of the backend that such a server would become.
import {
  flag,
  list,
  nullable,
  object,
  record,
  strictObject,
  type TypeOf,
  text,
} from "../../runtime/shape.ts";

const entry = {
  /** The name in the registry, such as `io.github.user/server`. */
  name: text,
  version: text,
  description: text,
  deprecated: flag,
};

export const registryListShape = object({ servers: list(object(entry)) });

export const registryServerRequest = strictObject({
  server: text,
  /** The new backend's name. */
  name: text,
  /**
   * The values of the inputs, by input name. Secrets are not sent: "" stands for a secret that the person has
   * entered.
   */
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
  /** The backend that the server would become; null: not possible, see `why`. */
  plan: nullable(
    object({
      /** The program with its arguments; null for a server at `url`. */
      command: nullable(list(text)),
      url: nullable(text),
      /** The backend's `env` or `headers` in the configuration. */
      texts: record(text),
      /** The name of the stored secret for each secret input. */
      secrets: record(text),
      remarks: list(text),
    }),
  ),
  why: nullable(text),
});
export type RegistryServerReport = TypeOf<typeof registryServerShape>;
