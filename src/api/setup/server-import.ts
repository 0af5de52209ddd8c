// The import of MCP servers from a client's files, or from text that a person pastes: what it would add, and its result.
import {
  flag,
  list,
  nullable,
  object,
  strictObject,
  type TypeOf,
  text,
  wellFormedText,
} from "../../runtime/shape.ts";
import { editReportShape } from "../contract/config.ts";

/** Either a client or a text. */
export const importRequest = strictObject({
  /** The client whose files are read, as an argument of `mountaineer import`; null: `text` is read. */
  client: nullable(text),
  /** What a person pasted; 1 MiB and 1,000 servers at most. */
  text: nullable(wellFormedText),
  /** The digest of the import that a person agreed to; null: only show it. */
  agreed: nullable(text),
});
export type ImportRequest = TypeOf<typeof importRequest>;

const planned = {
  servers: list(
    object({
      name: text,
      /** The client's title, or the pasted text. */
      from: text,
      enabled: flag,
      /** The whole command line or address. */
      runs: text,
      /** Variables of the program or headers of the address, `NAME = VALUE`, with references to secrets. */
      texts: list(text),
      /** Why it is imported as disabled; null: there is no such reason. */
      problem: nullable(text),
      /** The names under which its secrets are stored. */
      secrets: list(text),
      /** Names of secrets that are still to be set. */
      wanted: list(text),
      /** What the import did to it, and which of its settings it does not use. */
      remarks: list(text),
    }),
  ),
  /** Servers that cannot be imported, and why. */
  refused: list(object({ name: text, why: text })),
  /** Names of backends that are in the configuration already. */
  present: list(text),
  /** Names in `present` whose stored secrets stay as they are. */
  unsure: list(text),
  /** The servers that the client keeps for projects. */
  of_projects: list(object({ folder: text, servers: list(text) })),
  /** "13 to run, 5 disabled, 3 not imported, 4 in projects" */
  summary: text,
  /** The change of the configuration file. */
  diff: text,
  /** True: a token for HTTP clients is made with the first server. */
  makes_token: flag,
  /** Identifies exactly this import. */
  digest: text,
};

export const importShape = object({
  ...planned,
  /** The change of the configuration; null: nothing was written. */
  saved: nullable(editReportShape),
});
export type ServerImport = TypeOf<typeof importShape>;
