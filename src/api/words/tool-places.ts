// Where a tool is served that several machines have in common, in the same words everywhere. Pure.
import type { ToolPlaces } from "../catalog-contract.ts";

/** `desktop (tb), here (fallback)`: the first serves. */
export function placesText(places: ToolPlaces): string {
  return places
    .map(({ machine, standing, ready }) => {
      const how = ready ? standing : "not ready";
      return `${machine ?? "here"}${how === null ? "" : ` (${how})`}`;
    })
    .join(", ");
}
