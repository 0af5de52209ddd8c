// Where a program of a project starts: those that run packages by name find some in the project's folder.
/** What such a program finds in a folder. */
export const PACKAGE_MARKS: ReadonlySet<string> = new Set(
  (
    "package.json node_modules components.json angular.json bunfig.toml .npmrc .yarnrc.yml deno.json deno.jsonc " +
    "pyproject.toml uv.toml uv.lock setup.py requirements.txt firebase.json"
  ).split(" "),
);

const RUNNER =
  /^(?:.*\/)?(?:(?:npx|bunx|pnpx|uvx)|(?:pnpm|yarn) dlx|pnpm exec|npm (?:exec|x)|bun x|pipx run|uv tool run|deno run|python[\d.]* -m)(?= |$)/;
/** A package of a scope, of a version, or at an address: its name leads to one package, wherever it is asked for. */
const EXACT = /^(?:npm:|jsr:)?@[^/]+\/|.@[\w.^~-]+$|[=<>~]=|:\/\//;

/**
 * Whether a program depends on the folder in which it is started. `isOfProject`: its client starts the programs of a project
 * there.
 */
export function startsInFolder(
  command: string,
  args: readonly string[],
  isOfProject: boolean,
  findsPackages: boolean,
): boolean {
  const [runner] = RUNNER.exec([command, ...args].join(" ")) ?? [];
  if (isOfProject && runner === undefined) return true;
  const before = runner === undefined ? 0 : runner.slice(command.length).split(" ").length - 1;
  const operands = args
    .slice(before)
    .map((arg) => arg.replace(/^-[^=]*=?/, ""))
    .filter((arg) => arg !== "");
  const named = runner === undefined ? [command, ...operands] : operands.slice(1);
  if (named.some((arg) => /[./]/.test(arg) && !/^(?:[/@~]|\d[\d.]*$|[\w+.-]+:\/\/)/.test(arg))) return true;
  return runner !== undefined && (findsPackages || (isOfProject && !EXACT.test(operands[0] ?? "")));
}
