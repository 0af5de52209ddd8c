// Replaces `src/runtime/process/program-beside.ts` in the processes of tests (`built-programs.ts`).
import { existsSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { programBeside as sourceBeside } from "../src/runtime/process/program-beside.ts";
import { currentBuild } from "./current-build.ts";

const build = currentBuild();

export function programBeside(moduleUrl: string, name: string): URL {
  const built = build === null ? null : path.join(build, `${name}.js`);
  return built !== null && existsSync(built) ? pathToFileURL(built) : sourceBeside(moduleUrl, name);
}
