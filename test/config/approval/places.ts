// The machine of these tests, as its backends are looked at.
import { emptyConfig } from "../../../src/config/read/normalize.ts";
import { PLACE } from "../support.ts";

export const GROUND = {
  protectedPaths: { homes: [PLACE.home], configs: [`${PLACE.home}/config.toml`], userHome: PLACE.userHome },
  blank: emptyConfig(PLACE),
};
