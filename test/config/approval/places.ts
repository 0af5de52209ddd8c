// The machine of these tests, as its backends are looked at.
import type { GuardedPlaces } from "../../../src/config/reach.ts";
import { PLACE } from "../support.ts";

export const PLACES: GuardedPlaces = {
  homes: [PLACE.home],
  configs: [`${PLACE.home}/config.toml`],
  userHome: PLACE.userHome,
};
