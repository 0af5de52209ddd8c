// What one server may list.

import { TEXT_BOUNDS } from "../../../runtime/text/bounds.ts";
import { countInvisible } from "../../../runtime/text/invisible-characters.ts";
import { type TransportFailure, transportFailure } from "../transports/backend-transport.ts";

/** For the entries of one list, in order: why the one of this JSON is withheld; null: it is not. */
export function entryBudget(): (json: string | null) => string | null {
  let left: number = TEXT_BOUNDS.unseen.most;
  return (json) => {
    if (json === null || json.length > TEXT_BOUNDS.entry.most) return "it has more than 1 MiB of JSON";
    const count = countInvisible(json);
    left -= count;
    return count === 0 || left >= 0
      ? null
      : `with the entries before it, it has more than ${TEXT_BOUNDS.unseen.most} unseen characters`;
  };
}

export function tooMuch(method: string, bound: string): TransportFailure {
  return transportFailure("overloaded", `${method} gives more than ${bound}`);
}
