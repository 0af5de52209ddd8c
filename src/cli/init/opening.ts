// The first lines of a new configuration, with a link to docs/reference/configuration.md of the running package.
import { pathToFileURL } from "node:url";
import { launcherPath } from "../input/launcher-path.ts";
import { openingText } from "./init-text.ts";

/** The comment at the top of a new file. */
export function opening(): string {
  return openingText(new URL("../docs/reference/configuration.md", pathToFileURL(launcherPath())).href);
}
