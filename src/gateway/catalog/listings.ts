// Owns what one backend offers, as it listed it.
import type { JsonObject } from "../json-rpc.ts";

/** Entries are the server's own objects, in its order, wherever they have the name that they are known by. */
export interface Listings {
  /** Each has a string `name`. */
  readonly tools: readonly JsonObject[];
  /** Each has a string `uri`. */
  readonly resources: readonly JsonObject[];
  /** Each has a string `uriTemplate`. */
  readonly resourceTemplates: readonly JsonObject[];
  /** Each has a string `name`. */
  readonly prompts: readonly JsonObject[];
}

export const NO_LISTINGS: Listings = { tools: [], resources: [], resourceTemplates: [], prompts: [] };
