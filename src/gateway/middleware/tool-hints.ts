// A tool's annotations as policies read them, with the protocol's defaults (2025-11-25, ToolAnnotations) for missing ones.
// Servers may lie: a policy that uses hints trusts the server.
import type { AuthorizationConfig, ToolHint } from "../../config/snapshot.ts";
import { isJsonObject, type JsonObject } from "../json-rpc.ts";

export type ToolHints = Readonly<Record<ToolHint, boolean>>;

export function hintsOf(
  { annotations }: JsonObject,
  unannotated: NonNullable<AuthorizationConfig["unannotated"]>,
): ToolHints {
  const hints = isJsonObject(annotations) ? annotations : {};
  const readOnly = hints["readOnlyHint"] === true;
  const { destructiveHint } = hints;
  const destroys = typeof destructiveHint === "boolean" ? destructiveHint : unannotated === "destructive";
  // Other hints of a read-only tool are ignored: it destroys nothing, and may be repeated.
  const destructive = !readOnly && destroys;
  const idempotent = readOnly || hints["idempotentHint"] === true;
  const openWorld = hints["openWorldHint"] !== false;
  return {
    ...{ read_only: readOnly, not_read_only: !readOnly },
    ...{ destructive, not_destructive: !destructive },
    ...{ idempotent, not_idempotent: !idempotent },
    ...{ open_world: openWorld, not_open_world: !openWorld },
  };
}
