// How the value of a key is shown, depending on the kind of the key.
import { parseReference } from "../../secrets/reference.ts";
import type { KeyDoc } from "../schema/schema-keys.ts";
import {
  type Audience,
  HIDDEN,
  isAddress,
  shownArguments,
  shownCommand,
  shownUrl,
  shownWritten,
} from "../shown-values.ts";
import { hasSecretQuery } from "../values/backend-values.ts";
import { isShowable } from "../values/secret-text.ts";
import type { ConfigValue } from "./edit-value.ts";

/**
 * Returns the value as `audience` may see it, with `(hidden)` for the rest. The audience `log` is the file's owner,
 * who may see everything but secrets. `command`: the program that the arguments belong to.
 */
export function shownOfKey(
  { shown }: Pick<KeyDoc, "shown">,
  name: string,
  value: ConfigValue,
  command: unknown,
  audience: Audience,
): ConfigValue {
  if (shown === "plain") return plainShown(value, audience);
  if (shown === "arguments" && Array.isArray(value))
    return shownArguments(String(command), value.map(String), audience);
  if (typeof value !== "string") return HIDDEN;
  switch (shown) {
    case "reference":
      return parseReference(value) === null ? HIDDEN : value;
    case "secret text":
      return audience === "log" && isShowable(value) ? value : shownWritten(name, value, audience);
    case "program":
      return shownCommand(value, audience);
    case "address":
      return shownAddress(value, audience);
    case "arguments":
      return HIDDEN;
  }
}

/** Addresses go through `shownAddress`, because an address may contain a key. */
function plainShown(value: ConfigValue, audience: Audience): ConfigValue {
  if (Array.isArray(value)) return value.map((part) => plainShown(part, audience));
  return isAddress(value) ? shownAddress(value, audience) : value;
}

function shownAddress(url: string, audience: Audience): string {
  const parsed = URL.parse(url);
  const isSafe = parsed !== null && parsed.username + parsed.password === "" && !hasSecretQuery(url);
  return audience === "log" && isSafe ? url : shownUrl(url, audience);
}
