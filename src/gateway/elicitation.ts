// What a client declared about being asked (elicitation).
import { isJsonObject, type JsonObject } from "./json-rpc.ts";

/** Null: nothing at all; else whether it takes questions of that mode. */
export function takesElicitation({ elicitation }: JsonObject, mode: "form" | "url"): boolean | null {
  if (!isJsonObject(elicitation)) return null;
  // An empty object means forms: so clients declared it before there were modes.
  return isJsonObject(elicitation[mode]) || (mode === "form" && !isJsonObject(elicitation["url"]));
}

/** The error by which a server of 2025-11-25 says that addresses have to be visited first. */
export const URL_ELICITATION_REQUIRED = -32042;
