// Reads and writes `<home>/management.json`: who may come in over HTTP, as hashes.
import { join } from "node:path";
import { errorText } from "../../runtime/errors.ts";
import { readIfPresent, writeDurably } from "../../runtime/files/durable-file.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { choice, list, matching, nullable, number, object, optional, type TypeOf } from "../shape.ts";

const sha256 = matching(/^[0-9a-f]{64}$/, "a SHA-256");

const waysInShape = object({
  version: choice("1"),
  /** Of the one token; null: there is none. */
  token_sha256: nullable(sha256),
  /** Of people who are signed in; `until`: Unix ms. */
  sessions: list(object({ sha256, until: number, by: choice("link", "token") }), 64),
  /** Of links that nobody has used yet. */
  links: list(object({ sha256, until: number }), 16),
  /** Where the page is served while the gateway does not listen, on 127.0.0.1. */
  page_port: optional(number),
});
export type WaysIn = TypeOf<typeof waysInShape>;

export const NO_WAYS_IN: WaysIn = { version: "1", token_sha256: null, sessions: [], links: [] };

function pathIn(home: string): string {
  return join(home, "management.json");
}

/** What cannot be made sense of lets nobody in; then people sign in anew. */
export async function readWaysIn(home: string, logger: Logger): Promise<WaysIn> {
  try {
    const text = await readIfPresent(pathIn(home));
    if (text === null) return NO_WAYS_IN;
    const value: unknown = JSON.parse(text);
    const fault = waysInShape.faultIn(value);
    if (fault === null) return value as WaysIn;
    logger.warn("management.json is not understood; nobody is signed in", { at: fault.path });
  } catch (error) {
    logger.warn("management.json cannot be read; nobody is signed in", { reason: errorText(error) });
  }
  return NO_WAYS_IN;
}

/** Durably, readable by its owner alone. Rejects with the system's error. */
export async function writeWaysIn(home: string, ways: WaysIn): Promise<void> {
  await writeDurably(pathIn(home), `${JSON.stringify(ways)}\n`, { mode: 0o600 });
}
