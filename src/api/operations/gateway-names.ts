// Selects backends by name. Makes the errors for unknown backends and tools, a missing gateway and a missing fleet.
import { MountaineerError } from "../../runtime/errors.ts";
import { closestWord } from "../../runtime/text/suggest.ts";
import { type NameKind, nameUnknown, selectNames } from "./name-selection.ts";

const BACKENDS: NameKind = {
  code: "backend_unknown",
  noun: "server",
  known: "configured",
  none: "no server is configured yet",
};
const TOOLS: NameKind = {
  code: "tool_unknown",
  noun: "tool",
  known: "published",
  none: "no tool is published; run mountaineer backends list to see why",
};

/** The selected names in the order of `known`, each once; null selects all. Throws `backend_unknown`. */
export function selectBackends(
  selection: readonly string[] | null,
  known: readonly string[],
): readonly string[] {
  return selectNames(selection, known, BACKENDS);
}

/** Makes the error `backend_unknown`, with the closest name as the hint. */
export function backendUnknown(name: string, known: readonly string[]): MountaineerError {
  return nameUnknown(name, known, BACKENDS);
}

/**
 * Makes the error `tool_unknown`. The hint is the closest name, or the only tool whose name has all the typed
 * words.
 */
export function toolUnknown(name: string, published: readonly string[]): MountaineerError {
  return nameUnknown(name, published, TOOLS, closestWord(name, published) ?? onlyWith(name, published));
}

/**
 * The only tool whose name has all typed words: `sum` finds `get-sum`, and `files:read_file` finds
 * `files_read_file`.
 */
function onlyWith(name: string, published: readonly string[]): string | null {
  const partsOf = (text: string): string[] => text.toLowerCase().split(/[^\p{L}\p{N}]+/u);
  const typed = partsOf(name);
  const [only = null, ...others] = published.filter((one) => {
    const parts = partsOf(one);
    return typed.every((part) => parts.includes(part));
  });
  return others.length === 0 ? only : null;
}

export function fleetOff(): MountaineerError {
  return new MountaineerError("fleet_off", "this machine is in no fleet: [fleet] is not configured", {
    hint: "docs/reference/fleet.md shows its three steps",
  });
}

export function gatewayOff(): MountaineerError {
  return new MountaineerError(
    "gateway_off",
    "no gateway is configured: there is neither a server nor [server]",
    {
      hint: "add a server (mountaineer backends add NAME -- PROGRAM ARGUMENTS), or an empty section [server]",
    },
  );
}
