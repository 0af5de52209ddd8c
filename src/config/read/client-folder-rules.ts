// The rules of `cwd = "client"`: which programs may start in a client's folder. Whoever opens a folder must not choose what
// runs, so a program that looks for code in the folder where it starts is a mistake.
import { basename } from "node:path";
import { CLIENT_FOLDER } from "../schema/value-types.ts";
import type { Finding, KeyPath } from "../values/mistakes.ts";
import { has, listIn, surplus, type Table, wrong } from "./tables.ts";

const CLIENT_CWD = "${client:cwd}";

/** They take programs, tasks or modules from the folder where they start. The launcher keeps `npx` and `uvx` from it. */
const LOOKS_AROUND: ReadonlySet<string> = new Set([
  ...["npm", "pnpm", "pnpx", "yarn", "bun", "bunx", "deno", "corepack", "tsx", "ts-node"],
  ...["uv", "pipx", "pipenv", "poetry", "pdm", "hatch", "rye", "pixi"],
  ...[
    "bundle",
    "rake",
    "composer",
    "cargo",
    "go",
    "make",
    "just",
    "gradle",
    "mvn",
    "dotnet",
    "mix",
    "nix",
    "mise",
  ],
]);
const INTERPRETER = /^(?:node|python[\d.]*|ruby|perl|php|java|sh|bash|dash|zsh)$/;
/** The program is in the arguments: a module of Python, which the launcher looks for elsewhere, or code. */
const INLINE = /^-(?:m|c|e|p)$/;

/** `common`: the table of `[backend_defaults]`. `at`: the path of the backend's or route's table. */
export function clientFolderFindings(
  server: Table,
  at: KeyPath,
  backend: Table,
  common: Table | null,
): Finding[] {
  const args = listIn(server, "args").map((one) => (typeof one === "string" ? one : ""));
  if (server["cwd"] !== CLIENT_FOLDER) {
    const index = args.findIndex((text) => text.includes(CLIENT_CWD));
    const found = `\`${CLIENT_CWD}\` without \`cwd = "client"\``;
    return index === -1 ? [] : [wrong([...at, "args", index], found, 'another text, or `cwd = "client"`')];
  }
  const cwd = [...at, "cwd"];
  const findings: Finding[] = [];
  if ((backend["instances"] ?? common?.["instances"]) !== "per-client") {
    const hint = "clients work in different folders, so each needs an instance of its own";
    findings.push(wrong(cwd, "`client` in a shared server", '`instances = "per-client"` beside it', hint));
  }
  const hint =
    "the folder is not known beforehand; use `${client:cwd}` in `args` where the server takes its folders there";
  if (has(server, "sandbox"))
    findings.push(surplus([...at, "sandbox"], '`sandbox` beside `cwd = "client"`', hint));
  if (has(backend, "folders")) findings.push(surplus(cwd, '`cwd = "client"` beside `folders`', hint));
  const { command } = server;
  if (typeof command === "string") findings.push(...programFindings(basename(command), args, at));
  return findings;
}

function programFindings(program: string, args: readonly string[], at: KeyPath): Finding[] {
  if (LOOKS_AROUND.has(program)) {
    const hint =
      "it would run what a client's folder holds; give the server's own program, or use `npx` or `uvx`";
    const found = "a program that looks for code in its folder";
    return [wrong([...at, "command"], found, 'another program with `cwd = "client"`', hint)];
  }
  if (!INTERPRETER.test(program)) return [];
  const index = args.findIndex((text) => INLINE.test(text) || !text.startsWith("-"));
  const options = index === -1 ? args : args.slice(0, index);
  // Such as `--import=./hook.js`.
  const fromFolder = options.findIndex((text) => /=\.{1,2}\//.test(text));
  const script = args[index] ?? "";
  const isOpen = index !== -1 && !INLINE.test(script) && !script.startsWith("/");
  const wrongAt = fromFolder !== -1 ? fromFolder : isOpen ? index : -1;
  if (wrongAt === -1) return [];
  const hint = "a relative path would be looked up in the client's folder, and run";
  return [wrong([...at, "args", wrongAt], "a relative path of a program", "an absolute path", hint)];
}
