// Where the programs lie that this package starts.

/**
 * A program of ours that stands in the folder of the module that starts it. The compiler rewrites import paths, not
 * strings: the published program is `.js`, the checkout's `.ts`.
 */
export function programBeside(moduleUrl: string, name: string): URL {
  return new URL(`./${name}.${moduleUrl.endsWith(".ts") ? "ts" : "js"}`, moduleUrl);
}
