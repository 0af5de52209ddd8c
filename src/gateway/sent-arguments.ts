// Large arguments of a call are let go once a server has them that never gets the call again.
import { emptied } from "../runtime/json/large-json.ts";
import type { JsonObject } from "./json-rpc.ts";

const releases = new WeakMap<object, () => void>();

/** `onLetGo` is called when the arguments in these params are let go. */
export function whenLetGo(params: JsonObject, onLetGo: () => void): void {
  const given = params["arguments"];
  if (typeof given === "object" && given !== null) releases.set(given, onLetGo);
}

/** Empties the arguments that `whenLetGo` knows, because every stage of the call refers to them until it is answered. */
export function letGo(params: JsonObject | undefined): void {
  const given = params?.["arguments"];
  if (typeof given !== "object" || given === null) return;
  const onLetGo = releases.get(given);
  if (onLetGo === undefined) return;
  releases.delete(given);
  emptied(given);
  onLetGo();
}
