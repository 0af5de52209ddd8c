// The connection of MCP clients (programs on this machine that use MCP) to this gateway: whether it exists,
// and the change of the client's file that makes or undoes it.
import { flag, list, nullable, object, strictObject, type TypeOf, text } from "../../runtime/shape.ts";

const about = {
  /** The program's name for people. */
  title: text,
  /** The file in which the program lists its MCP servers. */
  path: text,
};

export const knownClientsShape = object({
  clients: list(
    object({
      ...about,
      /** The client's name as an argument of `mountaineer connect`. */
      name: text,
      /** null: not known, see `problem`. */
      connected: nullable(flag),
      problem: nullable(text),
    }),
  ),
});
export type KnownClients = TypeOf<typeof knownClientsShape>;

export const connectRequest = strictObject({
  client: text,
  /** True: undoes the connection; false: connects. */
  undo: flag,
  /** The digest of the change that a person agreed to; null: only show the change. */
  agreed: nullable(text),
});

export const connectionShape = object({
  ...about,
  /** The change of the file, without the values of secrets; "": no change. */
  diff: text,
  /** Identifies exactly this change. */
  digest: text,
  /** The effects of the change on the client's other servers, a line each. */
  notes: list(text),
  written: flag,
  /** What the person must do before the client uses the change; null: nothing. */
  next: nullable(text),
});
export type Connection = TypeOf<typeof connectionShape>;
