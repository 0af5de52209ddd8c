// Programs that use MCP and can be made to use this gateway: which are here, and what their files get.
import { flag, list, nullable, object, strictObject, type TypeOf, text } from "../runtime/shape.ts";

const about = {
  /** As its makers write the name. */
  title: text,
  /** The file that it keeps its servers in. */
  path: text,
};

export const knownClientsShape = object({
  clients: list(
    object({
      ...about,
      /** As `connect` takes it. */
      name: text,
      /** null: `problem` says why that is not known. */
      connected: nullable(flag),
      problem: nullable(text),
    }),
  ),
});
export type KnownClients = TypeOf<typeof knownClientsShape>;

export const connectRequest = strictObject({
  client: text,
  /** Its file is put back. */
  undo: flag,
  /** The digest of the change that a person was shown; null: nothing is written. */
  agreed: nullable(text),
});

export const connectionShape = object({
  ...about,
  /** Of its file, without the values of secrets; "": there is nothing to change. */
  diff: text,
  /** Of exactly this change. */
  digest: text,
  /** What it means for the client's other servers, a line each. */
  notes: list(text),
  written: flag,
  /** What the person does before the client notices; null: nothing. */
  next: nullable(text),
});
export type Connection = TypeOf<typeof connectionShape>;
