// Preloaded (`--import`) into the processes of tests: the programs that sources start are those of the build, as for
// everybody who installs Mountaineer. From the sources, each of them would load hundreds of files first.
import { registerHooks } from "node:module";

const REPLACEMENT = new URL("./built-program-beside.ts", import.meta.url).href;

registerHooks({
  resolve: (specifier, context, next) =>
    specifier.endsWith("/process/program-beside.ts") && context.parentURL !== REPLACEMENT
      ? { url: REPLACEMENT, shortCircuit: true }
      : next(specifier, context),
});
