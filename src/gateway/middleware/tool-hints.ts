// A tool's annotations as policies read them, with the protocol's defaults (2025-11-25, ToolAnnotations) for missing ones.
// Servers may lie: a policy that uses hints trusts the server.
import type { AuthorizationConfig, ToolHint } from "../../config/snapshot.ts";
import { isJsonObject, type JsonObject } from "../json-rpc.ts";

export type ToolHints = ReturnType<typeof hintsOf>;

export function hintsOf(
  { annotations }: JsonObject,
  unannotated: NonNullable<AuthorizationConfig["unannotated"]>,
) {
  const said = isJsonObject(annotations) ? annotations : {};
  const readOnly = said["readOnlyHint"] === true;
  const { destructiveHint } = said;
  const destroys = typeof destructiveHint === "boolean" ? destructiveHint : unannotated === "destructive";
  return {
    read_only: readOnly,
    // A read-only tool destroys nothing and may be repeated, whatever its other hints say.
    destructive: !readOnly && destroys,
    idempotent: readOnly || said["idempotentHint"] === true,
    open_world: said["openWorldHint"] !== false,
  };
}

export function hasHint(hints: ToolHints, hint: ToolHint): boolean {
  switch (hint) {
    case "not_read_only":
      return !hints.read_only;
    case "not_destructive":
      return !hints.destructive;
    case "not_idempotent":
      return !hints.idempotent;
    case "not_open_world":
      return !hints.open_world;
    default:
      return hints[hint];
  }
}
