// How a new configuration begins: with the address of the page that explains every option, in this package.
import { pathToFileURL } from "node:url";
import { launcherPath } from "../input/launcher-path.ts";
import { openingText } from "./init-text.ts";

export function opening(): string {
  return openingText(new URL("../docs/configuration.md", pathToFileURL(launcherPath())).href);
}
