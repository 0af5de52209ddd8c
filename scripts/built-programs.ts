// Preloaded (`--import`) into the processes of tests: makes sources start the programs of the build, as an installation
// does. A program started from the sources would load hundreds of files first.
import { registerHooks } from "node:module";

const REPLACEMENT = new URL("./built-program-beside.ts", import.meta.url).href;

registerHooks({
  resolve: (specifier, context, next) =>
    specifier.endsWith("/process/program-beside.ts") && context.parentURL !== REPLACEMENT
      ? { url: REPLACEMENT, shortCircuit: true }
      : next(specifier, context),
});
