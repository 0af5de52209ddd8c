// Finds this package's own programs.

/**
 * Returns the URL of the program `name` in the folder of the module that starts it: `.js` in a build, `.ts` in a
 * checkout. The compiler rewrites only import paths, not strings.
 */
export function programBeside(moduleUrl: string, name: string): URL {
  return new URL(`./${name}.${moduleUrl.endsWith(".ts") ? "ts" : "js"}`, moduleUrl);
}
